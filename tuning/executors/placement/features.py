"""`Features`: the figures of a point of a space from which a trial's cost is predicted.

Nothing is built for it. What makes a network large are parameters of the study: whole numbers
(layers, neurons, filters, rows of a batch) by their logarithm, so that a cost that grows with a
power of them is a straight line; choices by one figure for each value, as a convolution is not a
matter of size. Rates (a learning rate, a share of dropout) seldom cost time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tuning.space.domains import Choice, Float, Int
from tuning.trial import Params

Vector: TypeAlias = NDArray[np.float64]

_SIZE = (0.7, -0.5)
_BATCH = (-0.5, -0.4)
"""Powers of a size that an epoch on a core takes, and a GPU's part of that."""
MOST_PAIRS = 45
"""Products of two sizes that are looked at; of more sizes than ten the first ones."""


@dataclass(frozen=True)
class _Feature:
    """One figure, with how far its weight is believed to lie from 0 before anything is measured."""

    value: Callable[[Params], float]
    spread: float
    slope: float = 0.0
    ratio_slope: float = 0.0


class Features:
    """The figures of points of one space.

    Attributes:
        spreads: (n,) standard deviation of each weight beforehand; natural logarithms of seconds.
        slopes: (n,) what each weight is believed to be beforehand: an epoch takes longer with each
            size, and less with rows of a batch.
        ratio_slopes: (n,) the same of a GPU's part of a core's time: a step on it costs much the
            same as long as it is launched.

    Args:
        domains: Parameters by name, as `Space.domains` has them; may be empty.
    """

    def __init__(self, domains: Mapping[str, Any]) -> None:
        self._sizes = [name for name, domain in domains.items() if _is_size(domain)]
        self._kinds = [
            name
            for name, each in domains.items()
            if isinstance(each, Choice) and not _is_size(each)
        ]
        features = [_Feature(lambda params: 1.0, 3.0)]
        for name, domain in domains.items():
            features += _features_of(name, domain)
            if domain.conditions or domain.alternatives:
                features.append(_Feature(_absence(name), 0.7))

        for kind, size in itertools.product(self._kinds, self._sizes):
            for value in domains[kind].values:
                product = _product(_indicator(kind, value), _size(size, domains[size]))
                features.append(_Feature(product, 0.4))

        pairs = itertools.islice(itertools.combinations(self._sizes, 2), MOST_PAIRS)
        for one, other in pairs:
            product = _product(_size(one, domains[one]), _size(other, domains[other]))
            features.append(_Feature(product, 0.15))
        self._features = features
        self.spreads: Vector = np.array([feature.spread for feature in features])
        self.slopes: Vector = np.array([feature.slope for feature in features])
        self.ratio_slopes: Vector = np.array([feature.ratio_slope for feature in features])

    def of(self, params: Params) -> Vector:
        """Return the (n,) figures of a point; a parameter that does not exist there counts as 0."""
        return np.array([feature.value(params) for feature in self._features])

    def structure_of(self, params: Params) -> str:
        """Return the kind of structure of a point in words: its choices that are no sizes."""
        return ", ".join(f"{name}={params[name]}" for name in self._kinds if name in params)


def _is_size(domain: Any) -> bool:
    if isinstance(domain, Int):
        return True
    if not isinstance(domain, Choice):
        return False
    return all(_is_positive(value) for value in domain.values)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _features_of(name: str, domain: Any) -> Sequence[_Feature]:
    if _is_size(domain):
        size = _size(name, domain)
        slope, ratio_slope = _BATCH if name == "batch_size" else _SIZE
        return [
            _Feature(size, 0.6, slope, ratio_slope),
            _Feature(_product(size, size), 0.15),
        ]
    if isinstance(domain, Choice):
        return [_Feature(_indicator(name, value), 2.0) for value in domain.values]
    if isinstance(domain, Float):
        return [_Feature(_rate(name, domain), 0.1)]
    return []


def _size(name: str, domain: Any) -> Callable[[Params], float]:
    """Return the logarithm of a size, 0 at the middle of its range."""
    if isinstance(domain, Choice):
        low, high = min(domain.values), max(domain.values)
    else:
        low, high = domain.low, domain.high
    middle = (_log(low) + _log(high)) / 2
    return lambda params: _log(params[name]) - middle if name in params else 0.0


def _log(value: float) -> float:
    return math.log1p(max(0.0, float(value)))


def _rate(name: str, domain: Float) -> Callable[[Params], float]:
    """Return where in its range a value lies, from -1 to 1."""
    scale = math.log if domain.log else float
    low, high = scale(domain.low), scale(domain.high)
    half = (high - low) / 2 or 1.0
    return lambda params: (scale(params[name]) - low) / half - 1 if name in params else 0.0


def _indicator(name: str, value: Any) -> Callable[[Params], float]:
    return lambda params: float(name in params and params[name] == value)


def _absence(name: str) -> Callable[[Params], float]:
    return lambda params: float(name not in params)


def _product(
    one: Callable[[Params], float], other: Callable[[Params], float]
) -> Callable[[Params], float]:
    return lambda params: one(params) * other(params)
