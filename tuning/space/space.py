"""What may be varied: the `Space` of a study, made of `Int`, `Float` and `Choice`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tuning.errors import StudyError, did_you_mean, received
from tuning.space.alternatives import Expanded, expand
from tuning.space.domains import Choice, Domain, Float, FromRangeTest, Int
from tuning.space.space_json import domain_from_json, domain_to_json
from tuning.trial import Params

__all__ = ["Choice", "Domain", "Float", "Int", "Params", "Space"]

FROM_RANGE_TEST = "from_range_test"
"""Stands for `Float.from_range_test()` in a study's space."""
_MOST_EXAMPLE_VALUES = 6
"""Of a list that is no domain, how many are written out as a `Choice`."""


@dataclass(frozen=True)
class Space:
    """The parameters of a search, parents before children."""

    domains: Mapping[str, Domain]  # or `FROM_RANGE_TEST` where it is made

    def __post_init__(self) -> None:
        declared: Mapping[str, Any] = self.domains
        domains = {
            name: Float.from_range_test() if domain == FROM_RANGE_TEST else domain
            for name, domain in declared.items()
        }
        object.__setattr__(self, "domains", _parents_first(domains))

    def __iter__(self) -> Iterator[str]:
        return iter(self.domains)

    def __getitem__(self, name: str) -> Domain:
        return self.domains[name]

    def __len__(self) -> int:
        return len(self.domains)

    @property
    def conditional(self) -> bool:
        """Whether any parameter has a condition."""
        return any(domain.conditions or domain.alternatives for domain in self.domains.values())

    @property
    def known(self) -> bool:
        """Whether it is known what is in it: that of a builder of others' is to be discovered."""
        return True

    @property
    def starts(self) -> tuple[Params, ...]:
        """The points that a search should begin with: the defaults that a builder names."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how it was found."""
        return ()

    def plain(self) -> Space:
        """Return the domains alone, for processes that have no builder."""
        return self

    @functools.cached_property
    def expanded(self) -> Expanded:
        """The same space with a parameter for each alternative; engines' libraries search this."""
        return expand(self.domains)

    @property
    def has_alternatives(self) -> bool:
        """Whether any parameter has another domain under other conditions."""
        return any(getattr(domain, "alternatives", ()) for domain in self.domains.values())

    @property
    def measured(self) -> dict[str, FromRangeTest]:
        """The learning rates whose bounds come, or will come, from a range test."""
        return {
            name: domain
            for name, domain in self.domains.items()
            if isinstance(domain, FromRangeTest)
        }

    @property
    def test_ranges(self) -> dict[str, str]:
        """Where the range test looks, for each of `measured`."""
        return {name: domain.test_range for name, domain in self.measured.items()}

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Those of `measured` that still have their wide bounds."""
        return tuple(name for name, domain in self.measured.items() if domain.within is None)

    @property
    def positioned(self) -> tuple[str, ...]:
        """The learning rates that are measured and have an interval for each structure."""
        return tuple(name for name, domain in self.measured.items() if domain.rows)

    @property
    def finite(self) -> bool:
        """Whether there is a last point."""
        return all(
            each.step is not None
            for domain in self.domains.values()
            for each in (getattr(domain, "alternatives", ()) or (domain,))
            if isinstance(each, Float)
        )

    def narrowed(self, intervals: Mapping[str, Sequence[Any]]) -> Space:
        """Return a copy in which these learning rates have what a range test found.

        Args:
            intervals: (low, high) of each, or its rows; see `FromRangeTest.narrowed`.
        """
        narrowed = {
            name: domain.narrowed(intervals[name])
            for name, domain in self.measured.items()
            if name in intervals
        }
        return Space({**self.domains, **narrowed})

    def faults(self) -> Iterator[str]:
        """Yield one sentence for each thing wrong, over all parameters."""
        for name, domain in self.domains.items():
            if not isinstance(domain, Int | Float | Choice):
                yield f"space: '{name}' is {received(domain)}; use {_as_domain(domain)}"
                continue
            for each in domain.alternatives or (domain,):
                yield from (f"space: '{name}': {fault}" for fault in each.faults())
                for parent, values in each.conditions:
                    yield from self._condition_faults(name, parent, values)

    def _condition_faults(self, name: str, parent: str, values: tuple[Any, ...]) -> Iterator[str]:
        if parent == name:
            yield f"space: '{name}' depends on itself"
            return
        if parent not in self.domains:
            guess = did_you_mean(parent, self)
            yield f"space: '{name}' depends on '{parent}', which is not in the space.{guess}"
            return

        domain = self.domains[parent]
        for value in values:
            if not domain.contains(value):
                yield (
                    f"space: '{name}' exists when {parent} is {value!r}, which {domain} never is"
                )

    def active(self, params: Params) -> dict[str, Any]:
        """Return `params` without what does not exist under its conditions, in order."""
        active: dict[str, Any] = {}
        # Parents come first, so a parent left out leaves out its children.
        for name, domain in self.domains.items():
            if name in params and domain.exists_under(active):
                active[name] = params[name]
        return active

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw one point; parameters whose conditions do not hold are absent."""
        drawn: dict[str, Any] = {}
        for name, domain in self.expanded.domains.items():
            # Drawn in any case: a condition must not shift the later draws.
            value = domain.sample(rng)
            if domain.exists_under(drawn):
                drawn[name] = value
        return self.expanded.fold(drawn)

    def lowest(self) -> dict[str, Any]:
        """Return the point at the low end of every axis, of a `Choice` the first value."""
        inner = Space(self.expanded.domains)
        values = {name: domain.cut()[0] for name, domain in inner.domains.items()}
        return self.expanded.fold(inner.active(values))

    def grid(self, points: int | None = 3) -> list[dict[str, Any]]:
        """Return every point of the grid.

        `Choice` and stepped `Int` are taken whole, other axes are cut into `points`.
        Conditions thin it: a point that differs only in an absent parameter is listed once.
        """
        if self.has_alternatives:
            inner = Space(self.expanded.domains)
            return [self.expanded.fold(point) for point in inner.grid(points)]

        axes = [domain.cut(points) for domain in self.domains.values()]
        different = {}  # by their text: a point is a dict, which no set takes
        for values in itertools.product(*axes):
            point = self.active(dict(zip(self.domains, values, strict=True)))
            different[repr(point)] = point
        return list(different.values())

    def cut_axes(self, points: int = 3) -> tuple[str, ...]:
        """Name the axes of which a grid leaves values out."""
        return tuple(
            name
            for name, domain in self.domains.items()
            if _is_endless(domain) or domain.cut(points) != domain.cut(None)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the domains by name as plain JSON types, in the space's order."""
        return {name: domain_to_json(domain) for name, domain in self.domains.items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return the space that `to_json` was called on.

        Raises:
            StudyError: A domain is of a kind that this release does not know.
        """
        return cls({name: domain_from_json(name, item) for name, item in stored.items()})

    def decode(self, stored: Params) -> dict[str, Any]:
        """Return parameters read from JSON in their own types."""
        decoded: dict[str, Any] = {}
        for name, value in stored.items():  # parents first: of alternatives one exists
            decoded[name] = self.domains[name].variant(decoded).decode(value)
        return decoded

    def decode_known(self, stored: Params) -> dict[str, Any]:
        """As `decode`, but what is no value of this space stays as it is.

        Such are those of an earlier version of the study, and a batch size cut for lack of memory.
        """
        decoded: dict[str, Any] = {}
        for name, value in stored.items():
            plain = tuple(value) if isinstance(value, list) else value
            domain = self.domains.get(name)
            if domain is not None:
                domain = domain.variant(decoded)
            is_foreign = isinstance(domain, Choice) and not domain.contains(plain)
            decoded[name] = plain if domain is None or is_foreign else domain.decode(value)
        return decoded

    def labelled(self, params: Params) -> dict[str, Any]:
        """Return parameters as engines keep them: of a `Choice` the label."""
        labelled = {}
        for name, value in params.items():
            domain = self.domains[name]
            labelled[name] = domain.label_of(value) if isinstance(domain, Choice) else value
        return labelled

    def check(self, params: Params) -> None:
        """Raise `StudyError` where `params` is not a point of this space."""
        faults = [
            f"'{name}' is no parameter of the space.{did_you_mean(name, self)}"
            for name in params
            if name not in self.domains
        ]

        for name, domain in self.domains.items():
            exists = domain.exists_under(params)
            if name not in params:
                if exists:
                    faults.append(f"'{name}' is missing")
            elif not exists:
                faults.append(f"'{name}' does not exist here: it needs {condition_words(domain)}")
            elif not domain.variant(params).contains(params[name]):
                faults.append(f"'{name}' is {params[name]!r}, outside {domain.variant(params)}")
        if faults:
            raise StudyError(faults, where="params")


def condition_words(domain: Domain) -> str:
    """Return when a parameter exists, in words; "" for always."""
    if domain.alternatives:
        return " or ".join(map(condition_words, domain.alternatives))
    return " and ".join(f"{name} in {list(values)}" for name, values in domain.conditions)


def _as_domain(value: object) -> str:
    """Return what could stand for a value that is no domain."""
    if isinstance(value, list | tuple) and 1 <= len(value) <= _MOST_EXAMPLE_VALUES:
        return f"Int, Float or Choice, e.g. Choice({', '.join(map(received, value))})"
    return "Int, Float or Choice; a value that is not searched belongs into fixed="


def _is_endless(domain: Domain) -> bool:
    return isinstance(domain, Float) and domain.step is None


def _parents_first(domains: Mapping[str, Domain]) -> dict[str, Domain]:
    ordered: dict[str, Domain] = {}
    waiting = dict(domains)

    while waiting:
        ready = [name for name in waiting if not _waits_for_parent(name, waiting)]
        if not ready:
            raise StudyError(f"space: {', '.join(waiting)} depend on each other in a circle")
        for name in ready:
            ordered[name] = waiting.pop(name)
    return ordered


def _waits_for_parent(name: str, waiting: Mapping[str, Domain]) -> bool:
    # What is no domain at all has no conditions; `Space.faults` names it.
    domain = waiting[name]
    alternatives: tuple[Domain, ...] = getattr(domain, "alternatives", ()) or (domain,)
    return any(
        parent in waiting and parent != name
        for each in alternatives
        for parent, _ in getattr(each, "conditions", ())
    )
