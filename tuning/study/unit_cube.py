"""Points of a space as points of the unit cube and back: for samples that fill a space, and for
distances in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tuning.data.dataset import Array
from tuning.study.domains import Choice, Domain
from tuning.study.space import Space
from tuning.study.study import Study, derive_seed

_HALF = 1 / math.sqrt(
    2
)  # two different values of a Choice are then 1 apart, as the ends of a range are


def coordinates(space: Space, params: Mapping[str, Any]) -> Array:
    """Return a point's place: ranges from 0 to 1 (log where log), a `Choice` one coordinate a
    value.

    A parameter that does not exist at the point lies in the middle.
    """
    return np.fromiter(_coordinates(space, params), float)


def _coordinates(space: Space, params: Mapping[str, Any]) -> Iterator[float]:
    for name, domain in space.domains.items():
        if isinstance(domain, Choice):
            label = domain.label_of(params[name]) if name in params else None
            yield from (_HALF if label == known else 0.0 for known in domain.labels)
        else:
            yield _share(domain, params[name]) if name in params else 0.5


def _share(domain: Any, value: float) -> float:
    low, high = (math.log(v) if domain.log else float(v) for v in (domain.low, domain.high))
    place = math.log(value) if domain.log else float(value)
    return 0.5 if high == low else (place - low) / (high - low)


def sobol_points(space: Space, points: int, seed: int) -> list[dict[str, Any]]:
    """Return different points of a scrambled Sobol sequence; fewer than `points` where the space
    has fewer.

    Source: SciPy's `qmc.Sobol`, scrambled by `seed`.
    """
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(space), scramble=True, rng=seed)
    found: dict[str, dict[str, Any]] = {}
    for row in sequence.random_base2(
        math.ceil(math.log2(points)) + 3
    ):  # a space of few points repeats them
        drawn = {name: _value(space[name], float(u)) for name, u in zip(space, row, strict=True)}
        point = space.active(drawn)
        found.setdefault(repr(point), point)
        if len(found) == points:
            break
    return list(found.values())


def initial_points(study: Study) -> list[dict[str, Any]]:
    """Return the points that engines are to begin with; they hang on space, seed and number alone."""
    return (
        sobol_points(study.space, study.initial, derive_seed(study.seed, "initial"))
        if study.initial
        else []
    )


def _value(domain: Domain, share: float) -> Any:
    if isinstance(domain, Choice):
        return domain.values[min(int(share * len(domain.values)), len(domain.values) - 1)]
    low, high = float(domain.low), float(domain.high)
    if domain.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    value = min(max(value, low), high)
    step = getattr(domain, "step", None)
    if step is None:
        return value
    steps = (domain.high - domain.low) // step
    if domain.log:
        return round(value)
    return int(domain.low + step * min(int(share * (steps + 1)), steps))
