"""One searched parameter: `Int`, `Float` or `Choice`, with the conditions under which it exists."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias, TypeGuard

import numpy as np

from tuning.trial import Params

Conditions: TypeAlias = tuple[tuple[str, tuple[Any, ...]], ...]

_STEP_TOLERANCE = 1e-6
"""Of a step: by so much a value may miss its place, for steps are added up with roundings."""
_DIGITS = 12
"""Decimal places to which a value on a step is rounded: 0.3, and not 0.30000000000000004."""


@dataclass(frozen=True)
class _Domain:
    """What all domains share.

    Attributes:
        conditions: (parent, its values) of each parameter that must have one of these values.
        alternatives: The domain under each of several conditions, of which at most one holds; the
            domain itself is then the hull of them all. Empty: it is the same wherever it exists.
            See `tuning.space.alternatives`.
    """

    conditions: Conditions = field(default=(), kw_only=True)
    # Not in the repr, which stands in the definitions of studies.
    alternatives: tuple[Any, ...] = field(default=(), kw_only=True, repr=False)

    def when(self, **parents: Any) -> Self:
        """Return a copy that exists only where every named parameter has this value.

        A list stands for one of its values.

        `Float(0.0, 0.99).when(optimizer="sgd")`, `Int(1, 8).when(shape=["constant", "pyramid"])`.
        """
        conditions = [
            (name, tuple(value) if isinstance(value, list) else (value,))
            for name, value in parents.items()
        ]
        return replace(self, conditions=(*self.conditions, *conditions))

    def under(self, conditions: Conditions) -> Self:
        """Return a copy with these conditions alone."""
        return replace(self, conditions=conditions)

    def exists_under(self, params: Params) -> bool:
        """Whether all conditions hold in `params`; a parent that is absent does not."""
        if self.alternatives:
            return any(domain.exists_under(params) for domain in self.alternatives)
        return all(
            name in params and _among(params[name], values) for name, values in self.conditions
        )

    def variant(self, params: Params) -> Any:
        """Return the domain as it is in `params`: itself, or the alternative that exists there."""
        for domain in self.alternatives:
            if domain.exists_under(params):
                return domain
        return self


@dataclass(frozen=True)
class Int(_Domain):
    """Whole numbers from `low` to `high`, both included, in steps of `step`.

    `log`: equal ratios are equally likely.
    """

    low: int
    high: int
    step: int = field(default=1, kw_only=True)
    log: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        _use_python_numbers(self, "low", "high", "step")

    def __str__(self) -> str:
        return _as_called("Int", self, () if self.step == 1 else (f"step={self.step!r}",))

    def faults(self) -> Iterator[str]:
        """Yield one sentence for each thing wrong with the bounds."""
        if not all(is_whole(value) for value in (self.low, self.high, self.step)):
            yield f"{self} needs whole numbers; for real ones use Float"
            return
        yield from _bound_faults(self, self.low, self.high, self.log)
        if self.step < 1:
            yield f"{self}: step must be at least 1, got {self.step}"
        if self.log and self.step != 1:
            yield f"{self}: step and log exclude each other; drop one of them"

    def contains(self, value: Any) -> bool:
        """Whether `value` is a whole number of this range and on its steps."""
        # Unlike bounds, values come from engines too, which may give NumPy's numbers.
        fits = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not fits or not self.low <= value <= self.high:
            return False
        return bool((value - self.low) % self.step == 0)

    def decode(self, stored: Any) -> int:
        """Return what JSON gave back as this domain's own type."""
        return int(stored)

    def cut(self, points: int | None = 3) -> list[int]:
        """Return every value of a stepped range, else `points` values from low to high.

        They are equally far apart, on a log scale where the range is one.
        """
        values = range(self.low, self.high + 1, self.step)
        if self.step > 1 or points is None or len(values) <= points:
            return list(values)

        spaced = _spaced(self.low, self.high, points, self.log)
        return sorted({round(value) for value in spaced})

    def sample(self, rng: np.random.Generator) -> int:
        """Draw one value."""
        if self.log:
            # Half a number more at either end, so that the ends are as likely as their neighbours.
            drawn = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            return int(min(max(round(drawn), self.low), self.high))

        n_values = (self.high - self.low) // self.step + 1
        return int(self.low + self.step * rng.integers(n_values))


@dataclass(frozen=True, repr=False)
class Float(_Domain):
    """Real numbers from `low` to `high`, both included; `log`: equal ratios are equally likely.

    `step`: only `low`, `low + step`, … up to `high`; None: any number between.
    """

    low: float
    high: float
    log: bool = field(default=False, kw_only=True)
    step: float | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        # As the releases before there were steps wrote it: it stands in the definitions of studies.
        step = "" if self.step is None else f", step={self.step!r}"
        return (
            f"Float(conditions={self.conditions!r}, low={self.low!r}, high={self.high!r}, "
            f"log={self.log!r}{step})"
        )

    def __post_init__(self) -> None:
        _use_python_numbers(self, "low", "high", "step")

    @staticmethod
    def from_range_test(
        low: float = 1e-5, high: float = 1.0, *, per_structure: bool = False
    ) -> FromRangeTest:
        """Return a learning rate that is searched where a range test finds it worth while.

        Args:
            low, high: Where the test looks.
            per_structure: False: one interval for all structures, which holds those of a small, a
                middling and a large one. True: each structure has an interval of its own, and the
                engine searches the position in it.
        """
        return FromRangeTest(low, high, log=True, per_structure=per_structure)

    def __str__(self) -> str:
        return _as_called("Float", self, () if self.step is None else (f"step={self.step!r}",))

    def faults(self) -> Iterator[str]:
        """Yield one sentence for each thing wrong with the bounds."""
        if not all(is_number(bound) and math.isfinite(bound) for bound in (self.low, self.high)):
            yield f"{self} needs finite numbers"
            return
        yield from _bound_faults(self, self.low, self.high, self.log)
        if self.step is None:
            return
        if not is_number(self.step) or not self.step > 0:
            yield f"{self}: step must be above 0, got {self.step!r}"
        if self.log:
            yield f"{self}: step and log exclude each other; drop one of them"

    def contains(self, value: Any) -> bool:
        """Whether `value` is a number of this range and on its steps."""
        fits = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not fits or not self.low <= value <= self.high:
            return False
        # Libraries add steps up in other orders, so that a value may be off by some roundings.
        return self.step is None or bool(
            abs(self.on_step(value) - value) <= _STEP_TOLERANCE * self.step
        )

    def on_step(self, value: float) -> float:
        """Return the nearest value of the range; its sums have no more digits than its ends."""
        if self.step is None:
            return min(max(float(value), self.low), self.high)
        last = self._last_step(self.step)
        number = min(max(round((value - self.low) / self.step), 0), last)
        return float(np.round(self.low + number * self.step, _DIGITS))

    def _last_step(self, step: float) -> int:
        return int((self.high - self.low) / step + _STEP_TOLERANCE)

    def decode(self, stored: Any) -> float:
        """Return what JSON gave back as this domain's own type."""
        return float(stored)

    def cut(self, points: int | None = 3) -> list[float]:
        """Return every value of a stepped range, else `points` values from low to high.

        Ends included, log where log.
        """
        if self.step is not None:
            numbers = range(self._last_step(self.step) + 1)
            return [self.on_step(self.low + number * self.step) for number in numbers]
        spaced = _spaced(self.low, self.high, points or 3, self.log)
        # A logarithm's rounding may lead outside.
        return [min(max(float(value), self.low), self.high) for value in spaced]

    def sample(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        if self.step is not None:
            number = rng.integers(self._last_step(self.step) + 1)
            return self.on_step(self.low + self.step * int(number))
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            drawn = rng.uniform(self.low, self.high)
        return float(min(max(drawn, self.low), self.high))


@dataclass(frozen=True, repr=False)
class FromRangeTest(Float):
    """A learning rate whose log range a range test narrows, once, before the search.

    Attributes:
        within: The wide bounds, once it is measured; None: not measured yet.
        per_structure: `low` and `high` stay wide, and `rows` tell the intervals; see
            `tuning.space.positions`.
        rows: name, value, low, high of each structure that was measured.
    """

    within: tuple[float, float] | None = field(default=None, kw_only=True)
    per_structure: bool = field(default=False, kw_only=True)
    rows: tuple[tuple[Any, ...], ...] = field(default=(), kw_only=True)

    def __repr__(self) -> str:
        if self.within is None:
            rest = ", per_structure=True" if self.per_structure else ""
            return f"Float.from_range_test({self.low!r}, {self.high!r}{rest})"
        # Measured, it is written as any range in a study's definition.
        return repr(Float(self.low, self.high, log=True, conditions=self.conditions))

    def __str__(self) -> str:
        return repr(self) if self.within is None else super().__str__()

    @property
    def test_bounds(self) -> tuple[float, float]:
        """Where the range test looks."""
        return self.within or (self.low, self.high)

    @property
    def test_range(self) -> str:
        """Where the range test looks, in words."""
        low, high = self.test_bounds
        words = f"{low} … {high}"
        return f"{words} for each structure" if self.per_structure else words

    def narrowed(self, measured: Sequence[Any]) -> FromRangeTest:
        """Return a copy with what was measured, which remembers the wide bounds.

        Args:
            measured: (low, high); per structure a row for each.
        """
        if self.per_structure:
            return replace(self, within=self.test_bounds, rows=as_tuple(measured))
        low, high = measured
        return replace(self, low=low, high=high, within=self.test_bounds)

    def faults(self) -> Iterator[str]:
        """Yield one sentence for each thing wrong with the bounds, wide or measured."""
        yield from super().faults()
        if self.within is None:
            return

        intervals = [(self.low, self.high)]
        if self.per_structure:
            intervals = [(low, high) for _, _, low, high in self.rows]
        least, most = self.within
        for low, high in intervals:
            if not least <= low <= high <= most:
                interval = Float(low, high, log=True)
                yield f"{interval} is outside {least} … {most}, where the range test looks"


@dataclass(frozen=True, init=False)
class Choice(_Domain):
    """One of the values given: strings, numbers, True / False, None, tuples or mappings of these.

    Engines see string labels (`labels`), so None, tuples and mixed types survive every library.
    NumPy's values are taken for Python's, so `Choice(*np.arange(1, 4))` has the numbers 1, 2, 3.
    The keys of a mapping, e.g. of class weights, are all strings or all whole numbers.
    """

    values: tuple[Any, ...]

    # Written by hand, since dataclasses take no `*values`; and the class is frozen.
    def __init__(
        self, *values: Any, conditions: Conditions = (), alternatives: tuple[Any, ...] = ()
    ) -> None:
        plain = tuple(python_value(value) for value in values)
        object.__setattr__(self, "values", plain)
        object.__setattr__(self, "conditions", conditions)
        object.__setattr__(self, "alternatives", alternatives)

    # Values that are mappings have no hash; equal choices have as many values.
    def __hash__(self) -> int:
        return hash((len(self.values), self.conditions))

    def when(self, **parents: Any) -> Choice:
        """As for the other domains: a copy that exists only where the parents have these values."""
        conditions = _Domain().when(**parents).conditions + self.conditions
        return self.under(conditions)

    def under(self, conditions: Conditions) -> Choice:
        """Return a copy with these conditions alone."""
        return Choice(*self.values, conditions=conditions)

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.values))})"

    def faults(self) -> Iterator[str]:
        """Yield one sentence for each thing wrong with the values."""
        if not self.values:
            yield "Choice() has no values"
        for value in self.values:
            if not _is_plain(value):
                kind = type(value).__name__
                yield (
                    f"{self}: {value!r} is a {kind}; "
                    "use strings, finite numbers, None, or tuples or mappings of these"
                )
        pairs = itertools.combinations(self.values, 2)
        if any(_same(one, other) for one, other in pairs):
            yield f"{self} names a value twice"

    @property
    def labels(self) -> tuple[str, ...]:
        """One string a value, all different: `str(value)` where that is enough, else its repr."""
        plain = tuple(map(str, self.values))
        if len(set(plain)) == len(plain):
            return plain
        return tuple(map(repr, self.values))

    def label_of(self, value: Any) -> str:
        """Return the label of `value`."""
        return self.labels[self._index(value)]

    def value_of(self, label: str) -> Any:
        """Return the value that carries `label`."""
        return self.values[self.labels.index(label)]

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the values, of the same type (True is not 1)."""
        return _among(python_value(value), self.values)

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
        # Not `values.index`: to Python True equals 1, which is another value.
        wanted = as_tuple(value)
        return next(i for i, known in enumerate(self.values) if _same(wanted, known))


Domain: TypeAlias = Int | Float | Choice


def _as_called(name: str, domain: Int | Float, steps: tuple[str, ...]) -> str:
    """Write a range as a study file does; `repr`, which is in definitions, has every field."""
    log = ("log=True",) if domain.log else ()
    return f"{name}({', '.join([repr(domain.low), repr(domain.high), *steps, *log])})"


def _bound_faults(domain: Domain, low: float, high: float, log: bool) -> Iterator[str]:
    if low > high:
        yield f"{domain}: low {low} is above high {high}; swap them"
    if log and low <= 0:
        yield f"{domain}: a log range must start above 0, got {low}"


def _spaced(low: float, high: float, points: int, log: bool) -> list[float]:
    if points == 1 or low == high:
        return [low]
    values = np.geomspace(low, high, points) if log else np.linspace(low, high, points)
    # The ends exactly: rounding must not leave the range.
    return [low, *(float(value) for value in values[1:-1]), high]


def python_value(value: Any) -> Any:
    """Return NumPy's numbers, truth values, strings and arrays as Python's; lists as tuples."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.item() if np.ndim(value) == 0 else value.tolist()
    if isinstance(value, list | tuple):
        return tuple(map(python_value, value))
    if isinstance(value, Mapping):
        return {python_value(key): python_value(item) for key, item in value.items()}
    return value


def _use_python_numbers(domain: Any, *names: str) -> None:
    for name in names:
        # Frozen: what is put right here is still being made.
        object.__setattr__(domain, name, python_value(getattr(domain, name)))


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        # Of one type: JSON sorts them, and keeps them as text.
        one_type = len({type(key) for key in value}) <= 1
        named = all(isinstance(key, str) or is_whole(key) for key in value)
        return one_type and named and all(map(_is_plain, value.values()))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number of Python's; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_tuple(value: Any) -> Any:
    """Return lists, at any depth, as tuples: JSON gives a tuple back as a list."""
    if isinstance(value, Mapping):
        return {key: as_tuple(item) for key, item in value.items()}
    return tuple(map(as_tuple, value)) if isinstance(value, list | tuple) else value


def _among(value: Any, values: Iterable[Any]) -> bool:
    return any(_same(value, other) for other in values)


def _same(a: Any, b: Any) -> bool:
    """Whether two values are equal and both, or neither, a truth value: True is not 1.

    The keys of mappings count as text, which JSON has made of them.
    """
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        theirs = {str(key): value for key, value in b.items()}
        return len(a) == len(b) and all(
            str(key) in theirs and _same(value, theirs[str(key)]) for key, value in a.items()
        )
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)
