"""Learning rates measured at several structures: at which, and which interval any other structure
has then.

A structure is a point of a space without its learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from tuning.data.dataset import Array
from tuning.study.domains import Choice, Domain, FromRangeTest
from tuning.study.space import Space

PLACES = ("low", "middle", "high")
"""Where a structure has each of its parameters; of a choice the first, the middle, the last."""

Varied: TypeAlias = tuple[str, Any]
"""A structure that is the middle one but for one parameter: its name and value; ("", None): the
middle itself.
"""


def structure(
    space: Space, place: str, parameter: str = "", given: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Return one structure in which the learning rate `parameter` exists, with the values given.

    Args:
        space: A study's.
        place: One of `PLACES`.
        parameter: The learning rate; "": none is left out.
        given: Values of single parameters; the conditions of the rate win.
    """
    wanted = {**given, **(_wanted(space.domains, parameter) if parameter else {})}
    point = space.active(
        {name: wanted.get(name, _at(place, domain)) for name, domain in space.domains.items()}
    )
    point.pop(parameter, None)
    return point


def diagonal(space: Space, parameter: str) -> list[dict[str, Any]]:
    """Return the structures with all parameters low, in the middle and high; equal ones once."""
    found = [structure(space, place, parameter) for place in PLACES]
    return list({repr(sorted(point.items())): point for point in found}.values())


def one_by_one(space: Space, parameter: str) -> dict[Varied, dict[str, Any]]:
    """Return the middle structure, and those that differ from it in one parameter alone, at its
    ends.

    All values of a choice are taken. What exists only under another's value comes and goes with
    that.
    """
    middle = structure(space, "middle", parameter)
    found: dict[Varied, dict[str, Any]] = {("", None): middle}
    for name in middle:
        for value in space[name].cut(3):
            point = structure(space, "middle", parameter, {name: value})
            if point != middle and point.get(name) == value:
                found[name, value] = point
    return found


@dataclass(frozen=True)
class Intervals:
    """The interval of any structure: the middle one's times the effect of each parameter alone, all
    as ratios.

    Between the values measured an effect is interpolated, on the parameter's own scale.
    """

    space: Space
    parameter: str

    def of(self, params: Mapping[str, Any]) -> tuple[float, float]:
        """Return (low, high), within the bounds of the range test."""
        total = self._middle + sum(
            (self._effect(name, value) for name, value in params.items()), np.zeros(2)
        )
        bounds = self._domain.within or (self._domain.low, self._domain.high)
        low, high = np.clip(np.exp(total), *bounds)
        return float(low), float(high)

    def rate(self, params: Mapping[str, Any]) -> float:
        """Return the learning rate of params in which it is a position from 0, the low end, to 1,
        on a log scale.
        """
        low, high = self.of(
            {name: value for name, value in params.items() if name != self.parameter}
        )
        at = float(params[self.parameter])
        return math.exp((1.0 - at) * math.log(low) + at * math.log(high))

    @property
    def _domain(self) -> FromRangeTest:
        return self.space.measured[self.parameter]

    @property
    def _middle(self) -> Array:
        return np.log(next(row[2:] for row in self._domain.rows if row[0] == ""))

    def _effect(self, name: str, value: Any) -> Array:
        rows = [row for row in self._domain.rows if row[0] == name]
        known = [(_scale(self.space[name], row[1]), np.log(row[2:]) - self._middle) for row in rows]
        if isinstance(self.space[name], Choice):
            return next(
                (effect for at, effect in known if at == _scale(self.space[name], value)),
                np.zeros(2),
            )
        if not known:
            return np.zeros(2)
        at_middle = _scale(self.space[name], _at("middle", self.space[name]))
        points = sorted([(at_middle, np.zeros(2)), *known], key=lambda pair: pair[0])
        places, effects = [at for at, _ in points], np.array([effect for _, effect in points])
        return np.array(
            [np.interp(_scale(self.space[name], value), places, column) for column in effects.T]
        )


def rows_of(
    measured: Sequence[tuple[Varied, tuple[float, float] | None]], bounds: tuple[float, float]
) -> list[Any]:
    """Return what a search keeps of range tests at `one_by_one`: name, value, low, high of each.

    Args:
        measured: The interval of each structure; None where its test found nothing.
        bounds: Those of the middle structure, where even its test found nothing: no effect can be
            told then.
    """
    found = [[*varied, *interval] for varied, interval in measured if interval is not None]
    return found if any(row[0] == "" for row in found) else [["", None, *bounds]]


def _at(place: str, domain: Domain) -> Any:
    values = list(domain.cut(3))
    return values[{"low": 0, "middle": (len(values) - 1) // 2, "high": -1}[place]]


def _scale(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.label_of(domain.decode(value))
    return math.log(value) if domain.log else float(value)


def _wanted(domains: Mapping[str, Domain], name: str) -> dict[str, Any]:
    """Return the values of its parents, and of theirs, under which a parameter exists."""
    found: dict[str, Any] = {}
    for parent, values in domains[name].conditions:
        found |= {**_wanted(domains, parent), parent: values[0]}
    return found
