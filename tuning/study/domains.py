"""One searched parameter: `Int`, `Float` or `Choice`, with the conditions under which it exists."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

import numpy as np

Params: TypeAlias = Mapping[str, Any]
Conditions: TypeAlias = tuple[tuple[str, tuple[Any, ...]], ...]


@dataclass(frozen=True)
class _Domain:
    conditions: Conditions = field(default=(), kw_only=True)

    def when(self, **parents: Any) -> Self:
        """Return a copy that exists only where every named parameter has the value given (a list:
        one of these).

        `Float(0.0, 0.99).when(optimizer="sgd")`, `Int(1, 8).when(shape=["constant", "pyramid"])`.
        """
        new = tuple(
            (name, tuple(v) if isinstance(v, list) else (v,)) for name, v in parents.items()
        )
        return replace(self, conditions=self.conditions + new)

    def exists_under(self, params: Params) -> bool:
        """Whether all conditions hold in `params`; a parent that is absent does not."""
        return all(
            name in params and _among(params[name], values) for name, values in self.conditions
        )


@dataclass(frozen=True)
class Int(_Domain):
    """Whole numbers from `low` to `high`, both included, in steps of `step`; `log`: equal ratios
    are equally likely.
    """

    low: int
    high: int
    step: int = field(default=1, kw_only=True)
    log: bool = field(default=False, kw_only=True)

    def faults(self) -> Iterator[str]:
        """Yield one sentence for each thing wrong with the bounds."""
        if not all(
            isinstance(v, int) and not isinstance(v, bool) for v in (self.low, self.high, self.step)
        ):
            yield f"{self} needs whole numbers; for real ones use Float"
            return
        yield from _bound_faults(self, self.low, self.high, self.log)
        if self.step < 1:
            yield f"{self}: step must be at least 1, got {self.step}"
        if self.log and self.step != 1:
            yield f"{self}: step and log exclude each other; drop one of them"

    def contains(self, value: Any) -> bool:
        """Whether `value` is a whole number of this range and on its steps."""
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def decode(self, stored: Any) -> int:
        """Return what JSON gave back as this domain's own type."""
        return int(stored)

    def cut(self, points: int | None = 3) -> list[int]:
        """Return every value of a stepped range, else `points` values from low to high (log where
        log).
        """
        values = range(self.low, self.high + 1, self.step)
        if self.step > 1 or points is None or len(values) <= points:
            return list(values)
        return sorted({round(v) for v in _spaced(self.low, self.high, points, self.log)})

    def sample(self, rng: np.random.Generator) -> int:
        """Draw one value."""
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return int(min(max(round(math.exp(rng.uniform(low, high))), self.low), self.high))
        return int(self.low + self.step * rng.integers((self.high - self.low) // self.step + 1))


@dataclass(frozen=True)
class Float(_Domain):
    """Real numbers from `low` to `high`, both included; `log`: equal ratios are equally likely."""

    low: float
    high: float
    log: bool = field(default=False, kw_only=True)

    @staticmethod
    def from_range_test(
        low: float = 1e-5, high: float = 1.0, *, per_structure: bool = False
    ) -> FromRangeTest:
        """Return a learning rate that is searched where a range test between `low` and `high` finds
        it worth while.

        Args:
            low, high: Where the test looks.
            per_structure: False: one interval for all structures, which holds those of a small, a
                middling and a large one. True: each structure has an interval of its own, and the
                    engine searches the position in it.
        """
        return FromRangeTest(low, high, log=True, per_structure=per_structure)

    def faults(self) -> Iterator[str]:
        """Yield one sentence for each thing wrong with the bounds."""
        if not all(_is_number(v) and math.isfinite(v) for v in (self.low, self.high)):
            yield f"{self} needs finite numbers"
            return
        yield from _bound_faults(self, self.low, self.high, self.log)

    def contains(self, value: Any) -> bool:
        """Whether `value` is a number of this range."""
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        return number and self.low <= value <= self.high

    def decode(self, stored: Any) -> float:
        """Return what JSON gave back as this domain's own type."""
        return float(stored)

    def cut(self, points: int | None = 3) -> list[float]:
        """Return `points` values from low to high, ends included, log where log."""
        spaced = _spaced(self.low, self.high, points or 3, self.log)
        return [
            min(max(float(v), self.low), self.high) for v in spaced
        ]  # a logarithm's rounding may lead outside

    def sample(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            drawn = rng.uniform(self.low, self.high)
        return float(min(max(drawn, self.low), self.high))


@dataclass(frozen=True, repr=False)
class FromRangeTest(Float):
    """A learning rate with a log range that a range test narrows once, before the search; until
    then it is wide.

    Attributes:
        within: The wide bounds, once it is measured; None: not measured yet.
        per_structure: `low` and `high` stay wide, and `rows` tell the intervals; see
            `tuning.study.positions`.
        rows: name, value, low, high of each structure that was measured.
    """

    within: tuple[float, float] | None = field(default=None, kw_only=True)
    per_structure: bool = field(default=False, kw_only=True)
    rows: tuple[tuple[Any, ...], ...] = field(default=(), kw_only=True)

    def __repr__(self) -> str:
        if self.within is None:
            rest = ", per_structure=True" if self.per_structure else ""
            return f"Float.from_range_test({self.low!r}, {self.high!r}{rest})"
        return repr(
            Float(self.low, self.high, log=True, conditions=self.conditions)
        )  # as any range in a definition

    @property
    def test_range(self) -> str:
        """Where the range test looks, in words."""
        low, high = self.within or (self.low, self.high)
        return f"{low} … {high}{' for each structure' if self.per_structure else ''}"

    def narrowed(self, found: Sequence[Any]) -> FromRangeTest:
        """Return a copy with what was measured, which remembers the wide bounds.

        Args:
            found: (low, high); per structure a row for each.
        """
        wide = self.within or (self.low, self.high)
        if self.per_structure:
            return replace(self, within=wide, rows=as_tuple(found))
        return replace(self, low=found[0], high=found[1], within=wide)

    def faults(self) -> Iterator[str]:
        """Yield one sentence for each thing wrong with the bounds, wide or measured."""
        yield from super().faults()
        if self.within is None:
            return
        for low, high in (
            [row[2:] for row in self.rows] if self.per_structure else [(self.low, self.high)]
        ):
            if not self.within[0] <= low <= high <= self.within[1]:
                measured = Float(low, high, log=True)
                yield f"{measured} is outside {self.within[0]} … {self.within[1]}, where the range test looks"


@dataclass(frozen=True, init=False)
class Choice(_Domain):
    """One of the values given: strings, numbers, True / False, None, or tuples of these.

    Engines see string labels (`labels`), so None, tuples and mixed types survive every library.
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any, conditions: Conditions = ()) -> None:
        object.__setattr__(
            self, "values", tuple(tuple(v) if isinstance(v, list) else v for v in values)
        )
        object.__setattr__(self, "conditions", conditions)

    def when(self, **parents: Any) -> Choice:
        """As for the other domains: a copy that exists only where the parents have these values."""
        return Choice(
            *self.values, conditions=_Domain().when(**parents).conditions + self.conditions
        )

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.values))})"

    def faults(self) -> Iterator[str]:
        """Yield one sentence for each thing wrong with the values."""
        if not self.values:
            yield "Choice() has no values"
        for value in self.values:
            if not _is_plain(value):
                kind = type(value).__name__
                yield f"{self}: {value!r} is a {kind}; use strings, finite numbers, None or tuples of these"
        if any(_same(a, b) for a, b in itertools.combinations(self.values, 2)):
            yield f"{self} names a value twice"

    @property
    def labels(self) -> tuple[str, ...]:
        """One string a value, all different: `str(value)` where that is enough, else `repr(value)`."""
        plain = tuple(map(str, self.values))
        return plain if len(set(plain)) == len(plain) else tuple(map(repr, self.values))

    def label_of(self, value: Any) -> str:
        """Return the label of `value`."""
        return self.labels[self._index(value)]

    def value_of(self, label: str) -> Any:
        """Return the value that carries `label`."""
        return self.values[self.labels.index(label)]

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the values, of the same type (True is not 1)."""
        return _among(value, self.values)

    def decode(self, stored: Any) -> Any:
        """Return what JSON gave back (tuples as lists) as the value meant."""
        return self.values[self._index(stored)]

    def cut(self, points: int | None = 3) -> list[Any]:
        """Return all values; a choice is never thinned."""
        return list(self.values)

    def sample(self, rng: np.random.Generator) -> Any:
        """Draw one value."""
        return self.values[int(rng.integers(len(self.values)))]

    def _index(self, value: Any) -> int:
        wanted = as_tuple(value)
        return next(i for i, v in enumerate(self.values) if _same(wanted, v))


Domain: TypeAlias = Int | Float | Choice


def _bound_faults(domain: Domain, low: float, high: float, log: bool) -> Iterator[str]:
    if low > high:
        yield f"{domain}: low {low} is above high {high}; swap them"
    if log and low <= 0:
        yield f"{domain}: a log range must start above 0, got {low}"


def _spaced(low: float, high: float, points: int, log: bool) -> list[float]:
    if points == 1 or low == high:
        return [low]
    inner = (np.geomspace if log else np.linspace)(low, high, points)[1:-1]
    return [
        low,
        *(float(v) for v in inner),
        high,
    ]  # the ends exactly: rounding must not leave the range


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return (
        value is None
        or isinstance(value, str | bool | int)
        or (isinstance(value, float) and math.isfinite(value))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_tuple(value: Any) -> Any:
    """Return lists, at any depth, as tuples: JSON gives a tuple back as a list."""
    return tuple(map(as_tuple, value)) if isinstance(value, list | tuple) else value


def _among(value: Any, values: Iterable[Any]) -> bool:
    return any(_same(value, v) for v in values)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)
