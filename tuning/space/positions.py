"""Learning rates measured at some structures, and the interval that any other structure has then.

A structure is a point of a space without its learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tuning.data.dataset import Array
from tuning.space.domains import Choice, Domain, FromRangeTest
from tuning.space.space import Space
from tuning.trial import Params

PLACES = ("low", "middle", "high")
"""Where a structure has each of its parameters; of a choice the first, the middle, the last."""

Varied: TypeAlias = tuple[str, Any]
"""The name and value of the one parameter in which a structure differs from the middle one.

("", None) is the middle one itself.
"""


def structure(
    space: Space, place: str, parameter: str = "", fixed: Params = MappingProxyType({})
) -> dict[str, Any]:
    """Return one structure in which the learning rate `parameter` exists.

    Args:
        space: A study's.
        place: One of `PLACES`.
        parameter: The learning rate; "": none is left out.
        fixed: Values of single parameters; the conditions of the rate win.
    """
    values = {name: _value_at(place, domain) for name, domain in space.domains.items()}
    values |= fixed

    # Last, so that they win: without its parents' values the rate would not exist.
    if parameter:
        values |= _values_of_parents(space.domains, parameter)

    point = space.active({name: values[name] for name in space})
    point.pop(parameter, None)
    return point


def diagonal(space: Space, parameter: str) -> list[dict[str, Any]]:
    """Return the structures with all parameters low, in the middle and high; equal ones once."""
    points = [structure(space, place, parameter) for place in PLACES]
    different = {repr(sorted(point.items())): point for point in points}
    return list(different.values())


def one_by_one(space: Space, parameter: str) -> dict[Varied, dict[str, Any]]:
    """Return the middle structure and those that differ from it in one parameter, at its ends.

    All values of a choice are taken. What exists only under another's value comes and goes with
    that.
    """
    middle = structure(space, "middle", parameter)
    points: dict[Varied, dict[str, Any]] = {("", None): middle}

    for name in middle:
        for value in space[name].cut(3):
            point = structure(space, "middle", parameter, {name: value})
            # The rate's own conditions may have put another value in its place.
            if point != middle and point.get(name) == value:
                points[name, value] = point
    return points


_NO_SHIFT = np.zeros(2)


class _Row(NamedTuple):
    """The interval measured at one structure; see `rows_of`."""

    name: str
    value: Any
    low: float
    high: float

    @property
    def logarithms(self) -> Array:
        """Those of (low, high)."""
        return np.log([self.low, self.high])


class _Effect(NamedTuple):
    """What one value of a parameter does: its place on the scale, and the shift of (low, high)."""

    place: Any
    shift: Array


@dataclass(frozen=True)
class Intervals:
    """The interval of any structure: the middle one's times the effect of each parameter alone.

    Effects are ratios, so they are added up as logarithms. Between the values measured an effect is
    interpolated, on the parameter's own scale.
    """

    space: Space
    parameter: str

    def of(self, params: Params) -> tuple[float, float]:
        """Return (low, high), within the bounds of the range test."""
        effects = np.zeros(2)
        for name, value in params.items():
            effects = effects + self._effect(name, value)

        # Far from the middle the effects may add up to rates that no test has tried.
        interval = np.exp(self._middle + effects)
        low, high = np.clip(interval, *self._domain.test_bounds)
        return float(low), float(high)

    def rate(self, params: Params) -> float:
        """Return the learning rate of params that hold its position in the interval.

        A position goes from 0, the low end, to 1, on a log scale.
        """
        others = {name: value for name, value in params.items() if name != self.parameter}
        low, high = self.of(others)
        position = float(params[self.parameter])
        return math.exp((1.0 - position) * math.log(low) + position * math.log(high))

    @property
    def _domain(self) -> FromRangeTest:
        return self.space.measured[self.parameter]

    @property
    def _rows(self) -> list[_Row]:
        return [_Row(*row) for row in self._domain.rows]

    @property
    def _middle(self) -> Array:
        return next(row.logarithms for row in self._rows if row.name == "")

    def _effect(self, name: str, value: Any) -> Array:
        """Return by how much a parameter's value moves the logarithms of (low, high)."""
        domain = self.space[name]
        place = _scale(domain, value)

        middle_logarithms = self._middle
        measured = [
            _Effect(_scale(domain, row.value), row.logarithms - middle_logarithms)
            for row in self._rows
            if row.name == name
        ]
        if isinstance(domain, Choice):
            return next((known.shift for known in measured if known.place == place), _NO_SHIFT)
        if not measured:
            return _NO_SHIFT

        # The middle structure is the measure of all effects: there the shift is 0.
        middle = _Effect(_scale(domain, _value_at("middle", domain)), _NO_SHIFT)
        along = sorted([middle, *measured], key=lambda known: known.place)
        places = [known.place for known in along]
        shifts = np.array([known.shift for known in along])
        return np.array([np.interp(place, places, column) for column in shifts.T])


def rows_of(
    measured: Sequence[tuple[Varied, tuple[float, float] | None]], bounds: tuple[float, float]
) -> list[Any]:
    """Return what a search keeps of range tests at `one_by_one`: name, value, low, high of each.

    Args:
        measured: The interval of each structure; None where its test found nothing.
        bounds: Those of the middle structure, where even its test found nothing: then no effect is
            known.
    """
    rows = [[*varied, *interval] for varied, interval in measured if interval is not None]
    has_middle = any(name == "" for name, *_ in rows)
    return rows if has_middle else [["", None, *bounds]]


def _value_at(place: str, domain: Domain) -> Any:
    values = list(domain.cut(3))
    index = {"low": 0, "middle": (len(values) - 1) // 2, "high": -1}[place]
    return values[index]


def _scale(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.label_of(domain.decode(value))
    return math.log(value) if domain.log else float(value)


def _values_of_parents(domains: Mapping[str, Domain], name: str) -> dict[str, Any]:
    """Return the values of its parents, and of theirs, under which a parameter exists."""
    needed: dict[str, Any] = {}
    for parent, values in domains[name].conditions:
        needed |= _values_of_parents(domains, parent)
        needed[parent] = values[0]
    return needed
