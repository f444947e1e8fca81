"""`discover`: the space of a builder that asks for its parameters, found by running it."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tuning.space.alternatives import listed
from tuning.space.conditions import Run, domain_with_conditions
from tuning.space.domains import Choice, Domain, Float
from tuning.space.recorder import Recorder
from tuning.space.space import Space
from tuning.trial import Params

MOST_RUNS = 200
"""Runs of a builder in which its space is looked for."""
DRAWN_RUNS = 8
"""Points drawn from the space that was found, at which it must foretell what is asked for."""
MOST_VALUES = 10
"""A whole number that changes what is asked for is tried at each of its values up to so many."""

Ask: TypeAlias = Callable[[Params], Recorder]
"""Runs the builder with these values and returns what it was asked for."""


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """What the runs of a builder have shown.

    Attributes:
        domains: By name, in the order in which they were asked for.
        start: The values named as defaults, with those of the other parameters that exist there;
            empty where none is named.
        notes: What the user should know: what is approximate, what was not explored.
        runs: How often the builder was called.
        told: All names that it was told a value of, fixed ones included.
        fit_changes: See `Recorder.fit_changes`.
        own_fit: See `Recorder.own_fit`; what the first run that has a reason says.
    """

    domains: Mapping[str, Domain]
    start: Params
    notes: tuple[str, ...]
    runs: int
    told: frozenset[str]
    fit_changes: frozenset[str] = frozenset()
    own_fit: str = ""


def discover(ask: Ask) -> Discovery:
    """Return the space of a builder.

    It is run with its defaults, then with other values of each parameter it asks for: each value
    of a choice, the ends and the middle of a range, all values of a short range of whole numbers
    that changes what is asked for. Where that shows new parameters these are varied too, and so on.
    At last it is run at points drawn from the space found; where one shows something else, the
    search goes on from there. Nothing depends on time or chance: every process finds the same.

    Raises:
        Whatever the builder raises.
    """
    explorer = _Explorer(ask)
    explorer.explore({})
    # Each round of draws may show what one parameter at a time did not.
    while explorer.surprised_by_drawn_points():
        pass
    return explorer.discovery()


class _Explorer:
    """Runs a builder and keeps what it asked for."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.runs: list[Run] = []
        self._seen: set[str] = set()  # values already tried
        self._told: set[str] = set()
        self._fit_changes: set[str] = set()
        self._own_fit = ""
        self._forms: set[str] = set()  # parameters already varied, each with its domain
        self._by_float: dict[str, str] = {}  # what a real number switches on -> that number
        self._waiting: deque[dict[str, Any]] = deque()
        self._rng = np.random.default_rng(0)

    @property
    def is_spent(self) -> bool:
        """Whether the builder may not be run again."""
        return len(self.runs) >= MOST_RUNS

    def explore(self, values: Params) -> None:
        """Run at a point, then at all that it leads to."""
        self._waiting.append(dict(values))
        while self._waiting and not self.is_spent:
            self._vary(self._run(self._waiting.popleft()))

    def surprised_by_drawn_points(self) -> bool:
        """Run at drawn points; return whether one asked for something unforeseen."""
        space, unexplained = self.space()
        open_names = {*unexplained, *self._by_float}
        for _ in range(DRAWN_RUNS):
            if self.is_spent:
                return False
            point = space.sample(self._rng)
            if repr(point) in self._seen:
                continue
            run = self._run(point)
            foreseen = {name: space[name].variant(point) for name in point}
            asked = {name: request.domain for name, request in run.requests.items()}
            if _forms(foreseen, open_names) != _forms(asked, open_names):
                self._vary(run)
                self.explore(point)
                return not self.is_spent
        return False

    def space(self) -> tuple[Space, tuple[str, ...]]:
        """Return the space that explains the runs best, and the names that it cannot explain."""
        domains: dict[str, Domain] = {}
        unexplained: list[str] = []
        for name in self._names():
            if name in self._by_float:
                first = next(run for run in self.runs if name in run.requests)
                domains[name] = first.requests[name].domain
                continue
            domain, is_certain = domain_with_conditions(name, self.runs, domains)
            domains[name] = domain
            if not is_certain:
                unexplained.append(name)
        return Space(domains), tuple(unexplained)

    def discovery(self) -> Discovery:
        """Return what was found."""
        space, unexplained = self.space()
        return Discovery(
            domains=space.domains,
            start=self._start(),
            notes=tuple(self._notes(unexplained)),
            runs=len(self.runs),
            told=frozenset(self._told),
            fit_changes=frozenset(self._fit_changes),
            own_fit=self._own_fit,
        )

    def _run(self, values: Params) -> Run:
        self._seen.add(repr(dict(values)))
        recorder = self._ask(values)
        self._told.update(recorder.answers)
        self._fit_changes.update(recorder.fit_changes)
        self._own_fit = self._own_fit or recorder.own_fit
        run = Run(
            values={name: recorder.answers[name] for name in recorder.requests},
            requests=dict(recorder.requests),
        )
        self._seen.add(repr(dict(run.values)))
        self.runs.append(run)
        return run

    def _vary(self, run: Run) -> None:
        """Put on the list other values of each parameter that this run was the first to show."""
        for name, request in run.requests.items():
            form = f"{name}: {request.domain!r}"
            if form in self._forms:
                continue
            self._forms.add(form)
            self._try_values(run, name, list(_probes(request.domain)))

    def _try_values(self, run: Run, name: str, values: list[Any]) -> None:
        """Run with other values of one parameter; between values that differ try those between."""
        shown: dict[Any, str] = {run.values[name]: _shape(run, name)}
        between = values
        while between and not self.is_spent:
            for value in between:
                point = {**run.values, name: value}
                if repr(point) in self._seen:
                    continue
                if self.is_spent:
                    return
                other = self._run(point)
                shown[value] = _shape(other, name)
                self._later(other)
                if isinstance(run.requests[name].domain, Float):
                    self._by_float |= dict.fromkeys(_differences(run, other), name)
            between = list(_between(run.requests[name].domain, shown))

    def _later(self, run: Run) -> None:
        """Vary what a run has shown once those before it are done."""
        if any(f"{n}: {r.domain!r}" not in self._forms for n, r in run.requests.items()):
            self._seen.discard(repr(dict(run.values)))
            self._waiting.append(dict(run.values))

    def _names(self) -> list[str]:
        """Return all names, each after those that came before it when it was first asked for."""
        names: list[str] = []
        for run in self.runs:
            at = 0
            for name in run.requests:
                if name in names:
                    at = names.index(name) + 1
                else:
                    names.insert(at, name)
                    at += 1
        return names

    def _start(self) -> dict[str, Any]:
        first = self.runs[0]
        if not any(request.is_named for request in first.requests.values()):
            return {}
        return dict(first.values)

    def _notes(self, unexplained: tuple[str, ...]) -> Iterator[str]:
        for name in unexplained:
            yield (
                f"{name}: when it is asked for could not be told from the values of the others; "
                "it is searched always"
            )
        for name, parent in self._by_float.items():
            yield (
                f"{name}: whether or how it is asked for depends on {parent}, a real number; "
                "it is searched always"
            )
        yield from self._thinned()
        notes = [
            f"{name}: {request.note}"
            for run in self.runs
            for name, request in run.requests.items()
            if request.note
        ]
        yield from dict.fromkeys(notes)
        if self.is_spent:
            left = ", ".join(dict.fromkeys(name for point in self._waiting for name in point))
            yield (
                f"the builder was run {MOST_RUNS} times to find its space; what it asks for "
                f"under other values is not explored{f' (among {left})' if left else ''}, "
                "and has its default where it shows up"
            )

    def _thinned(self) -> Iterator[str]:
        """Yield of which ranges only some values are tried: those that stand beside a choice."""
        space, _ = self.space()
        for name, domain in space.domains.items():
            if not domain.alternatives or not isinstance(domain, Choice):
                continue
            requests = (run.requests[name] for run in self.runs if name in run.requests)
            ranges = (each.domain for each in requests if not isinstance(each.domain, Choice))
            for each in dict.fromkeys(ranges):
                values = listed(each)
                if isinstance(each, Float) or values != each.cut(None):
                    yield (
                        f"{name}: a range under some values of the others, a choice under other "
                        f"ones: of the range only {len(values)} values are tried, from "
                        f"{values[0]:g} to {values[-1]:g}"
                    )


def _forms(domains: Mapping[str, Domain], left_out: Set[str]) -> dict[str, str]:
    """Return domains as text, without their conditions."""
    return {
        name: repr(domain.under(())) for name, domain in domains.items() if name not in left_out
    }


def _shape(run: Run, name: str) -> str:
    """Return what a run asked for besides one parameter."""
    return repr({n: r.domain for n, r in run.requests.items() if n != name})


def _differences(run: Run, other: Run) -> list[str]:
    """Return what only one of two runs asked for, or each with another domain."""
    names = dict.fromkeys((*run.requests, *other.requests))
    return [name for name in names if run.domain_of(name) != other.domain_of(name)]


def _probes(domain: Domain) -> Iterator[Any]:
    """Yield the values of a parameter that are tried first."""
    if isinstance(domain, Choice):
        yield from domain.values
        return
    values = domain.cut(3) if isinstance(domain, Float) else domain.cut(None)
    yield from dict.fromkeys((values[0], values[(len(values) - 1) // 2], values[-1]))


def _between(domain: Domain, shown: Mapping[Any, str]) -> Iterator[Any]:
    """Yield whole numbers not tried yet, in the middle of two at which the builder differs.

    Of a short range every value, once two of them differ.
    """
    if isinstance(domain, Choice | Float) or len(set(shown.values())) == 1:
        return
    values = list(range(domain.low, domain.high + 1, domain.step))
    if len(values) <= MOST_VALUES:
        yield from (value for value in values if value not in shown)
        return

    tried = sorted(shown)
    for low, high in itertools.pairwise(tried):
        inner = [value for value in values if low < value < high]
        if inner and shown[low] != shown[high]:
            yield inner[(len(inner) - 1) // 2]
