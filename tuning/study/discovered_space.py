"""`DiscoveredSpace`: the space of a builder that asks for its parameters, found when it is needed.

A study is made in processes that hold no TensorFlow, where its builder cannot be run. So the space
of such a study is looked for at its first use, once a process.
"""

from __future__ import annotations

import base64
import functools
import pickle
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from tuning.data.arrays import take
from tuning.errors import StudyError, TuningError, did_you_mean
from tuning.space.alternatives import alternative
from tuning.space.discovery import Discovery, discover
from tuning.space.domains import Domain
from tuning.space.space import Space
from tuning.storage.secrets import revealed
from tuning.study.builder_arguments import FIT_PARAMETERS, FROM_DATA, data_names
from tuning.study.fingerprint import fingerprint, plain_repr
from tuning.study.foreign.foreign_builder import ForeignBuilder
from tuning.trial import Params


class DiscoveredSpace(Space):
    """A space that is complete once something of it is asked for.

    Attributes:
        declared: The domains that the user gives besides: each replaces the builder's own of that
            name, and keeps its conditions.
    """

    declared: Mapping[str, Domain]
    _builder: ForeignBuilder
    _fixed: Mapping[str, Any]
    _data: Callable[[], Any]
    _in_full: bool

    def __init__(
        self,
        *,
        builder: ForeignBuilder,
        declared: Mapping[str, Any],
        fixed: Mapping[str, Any],
        data: Any,
        in_full: bool,
    ) -> None:
        facts = {
            "declared": Space(declared).domains,
            "_builder": builder,
            "_fixed": fixed,
            "_data": data,
            "_in_full": in_full,
        }
        for name, value in facts.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is not there yet.
        if name != "domains" or "_builder" not in self.__dict__:
            raise AttributeError(name)
        whole = Space(self._combined())
        object.__setattr__(self, "domains", whole.domains)
        return self.domains

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and dict(self.domains) == dict(other.domains)

    __hash__ = None  # type: ignore[assignment]

    @property
    def known(self) -> bool:
        """Whether the builder has been run."""
        return "domains" in self.__dict__

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how it was found."""
        return self._discovery.notes

    @property
    def starts(self) -> tuple[Params, ...]:
        """The defaults that the builder names, where they are a point of the space."""
        start = self._discovery.start
        if not start:
            return ()
        # What the user has added, such as the batch size, begins where its domain does.
        point = self.active({**self.lowest(), **start})
        try:
            self.check(point)
        except StudyError:
            return ()
        return (point,)

    @property
    def fit_changes(self) -> frozenset[str]:
        """What a `HyperModel.fit` changes of the training; see `Recorder.fit_changes`."""
        return self._discovery.fit_changes

    @property
    def own_fit(self) -> str:
        """Why a `HyperModel.fit` is carried out as it is; "": our training does what it says."""
        return self._discovery.own_fit

    def narrowed(self, intervals: Mapping[str, Any]) -> Space:
        """As for any space; without intervals it stays unknown."""
        return super().narrowed(intervals) if intervals else self

    def plain(self) -> Space:
        """Return what was found, without the builder."""
        return Space(self.domains)

    @functools.cached_property
    def _discovery(self) -> Discovery:
        arguments = self._arguments()
        key = self._key(arguments)
        if key not in _known:
            _known[key] = self._discovered({**arguments, **self._fixed})
        return _known[key]

    def _key(self, arguments: Mapping[str, Any]) -> _Key:
        return (
            fingerprint(self._builder),
            plain_repr(sorted(arguments.items())),
            plain_repr(sorted(self._fixed.items())),
        )

    @property
    def as_text(self) -> str:
        """What was discovered, for `know` in another process."""
        found = (self._key(self._arguments()), self._discovery)
        return base64.b64encode(pickle.dumps(found)).decode()

    def _discovered(self, fixed: Mapping[str, Any]) -> Discovery:
        name = self._builder.__name__

        rows = _some_rows(self._dataset()) if self._builder.has_fit else None

        known = revealed(fixed)

        def ask(values: Params) -> Any:
            return self._builder.ask(values, fixed=known, in_full=self._in_full, rows=rows)

        try:
            return discover(ask)
        except TuningError:
            raise
        except Exception as error:
            raise StudyError(
                f"{name} raised {type(error).__name__} while it was run to find its space: {error}"
            ) from error

    def _arguments(self) -> dict[str, Any]:
        """Return what the builder takes from the data; they are loaded only where it does."""
        taken = self._builder.__signature__.parameters
        names = [name for name in FROM_DATA if name in taken and name not in self._fixed]
        if not names:
            return {}
        dataset = self._dataset()
        return {name: getattr(dataset, name) for name in names}

    def _dataset(self) -> Any:
        """Return the data, of arguments that are searched with their first values."""
        names = data_names(self._data)
        first = {name: each.cut()[0] for name, each in self.declared.items() if name in names}
        fixed = {name: value for name, value in self._fixed.items() if name in names}
        return self._data(**first, **revealed(fixed))

    def _combined(self) -> dict[str, Domain]:
        found = dict(self._discovery.domains)
        others = {*FIT_PARAMETERS, *data_names(self._data)}
        faults = []
        for name, domain in self.declared.items():
            if name in found:
                found[name] = _in_place_of(found[name], domain)
            elif name in others:
                found[name] = domain
            else:
                guess = did_you_mean(name, {*found, *others})
                faults.append(
                    f"space: {self._builder.__name__} asks for no '{name}'.{guess} "
                    f"It asks for: {', '.join(found)}"
                )
        takes = {*self._discovery.told, *self._builder.__signature__.parameters, *others}
        faults += [
            f"fixed: {self._builder.__name__} asks for no '{name}'."
            f"{did_you_mean(name, takes)} It asks for: {', '.join(found)}"
            for name in self._fixed
            if name not in takes
        ]
        if faults:
            raise StudyError(faults)
        if not found:
            raise StudyError(
                f"{self._builder.__name__} asks for no parameter: there is nothing to search"
            )
        return found


_ROWS = 8

_Key: TypeAlias = tuple[str, str, str]
"""A builder's fingerprint, its arguments from the data, its fixed values."""

_known: dict[_Key, Discovery] = {}
"""What was discovered in this process, or in one that has passed it on."""


def know(text: str) -> None:
    """Take over what another process has discovered: here the builder is not run for it.

    It holds for the same builder, arguments and fixed values alone.

    Args:
        text: `DiscoveredSpace.as_text`, of a process of the same search.
    """
    key, discovery = pickle.loads(base64.b64decode(text))  # noqa: S301 - our driver's
    _known.setdefault(key, discovery)


def _some_rows(dataset: Any) -> tuple[Any, Any]:
    """Return x and y of a few rows, to call a `fit` with that is not carried out."""
    n_rows = min(len(dataset.y), _ROWS) if not isinstance(dataset.y, Mapping) else _ROWS
    rows = np.arange(n_rows)
    return take(dataset.X, rows), take(dataset.y, rows)


def _in_place_of(found: Domain, declared: Domain) -> Domain:
    """Return the user's domain under the conditions of the builder's, unless it has its own."""
    if declared.conditions or declared.alternatives:
        return declared
    if not found.alternatives:
        return declared.under(found.conditions)
    return alternative([declared.under(each.conditions) for each in found.alternatives])
