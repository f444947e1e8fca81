"""Points of a space as points of the unit cube: samples that fill a space, and distances in it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tuning.data.dataset import Array
from tuning.space.completion import completed
from tuning.space.domains import Choice, Domain, Float, Int
from tuning.space.space import Space
from tuning.study.engine_spec import engine_spec
from tuning.study.fingerprint import plain_repr
from tuning.study.study import Study, derive_seed
from tuning.trial import Params

_HALF = 1 / math.sqrt(2)
"""So two different values of a `Choice` are 1 apart, as the ends of a range are."""


def coordinates(space: Space, params: Params) -> Array:
    """Return a point's place: a range goes from 0 to 1, a `Choice` has one coordinate a value.

    A parameter that does not exist at the point lies in the middle.
    """
    return np.fromiter(_coordinates(space, params), float)


def _coordinates(space: Space, params: Params) -> Iterator[float]:
    for name, domain in space.domains.items():
        if isinstance(domain, Choice):
            label = domain.label_of(params[name]) if name in params else None
            yield from (_HALF if label == known else 0.0 for known in domain.labels)
        elif name in params:
            yield _share(domain, params[name])
        else:
            yield 0.5


def _share(domain: Int | Float, value: float) -> float:
    """Return how far along its range a value lies, from 0 to 1."""
    scale = math.log if domain.log else float
    low = scale(domain.low)
    high = scale(domain.high)
    if high == low:
        return 0.5
    return (scale(value) - low) / (high - low)


def sobol_points(space: Space, points: int, seed: int) -> list[dict[str, Any]]:
    """Return different points of a scrambled Sobol sequence; fewer where the space has fewer.

    Source: SciPy's `qmc.Sobol`, scrambled by `seed`.
    """
    from scipy.stats import qmc

    inner = Space(space.expanded.domains)
    sequence = qmc.Sobol(len(inner), scramble=True, rng=seed)
    different: dict[str, dict[str, Any]] = {}

    # A power of two, as Sobol's balance wants it, and at least eight times as many as are wanted:
    # a space of few points repeats them.
    for row in sequence.random_base2(math.ceil(math.log2(points)) + 3):
        shares = zip(inner, row, strict=True)
        values = {name: _value(inner[name], float(share)) for name, share in shares}
        point = space.expanded.fold(inner.active(values))
        different.setdefault(repr(point), point)
        if len(different) == points:
            break
    return list(different.values())


def initial_points(study: Study) -> list[dict[str, Any]]:
    """Return the points that engines are to begin with: by space, seed and `initial` alone.

    So engines that are compared share the luck of their first points.
    """
    starts: list[dict[str, Any]] = []
    if engine_spec(study.engine).takes_initial:
        starts = [dict(point) for point in study.space.starts]

    seed = derive_seed(study.seed, "initial")
    if not isinstance(study.initial, int):
        # By place, so that one more point does not change the others.
        rngs = (np.random.default_rng([seed, index]) for index in itertools.count())
        known = zip(study.initial, rngs, strict=False)
        return [completed(study.space, point, rng) for point, rng in known] + starts
    if not study.initial:
        return starts
    return starts + sobol_points(study.space, study.initial, seed)


def engine_seed(study: Study) -> int:
    """Return the seed of an engine's own draws.

    Known points are part of it: they come from a search of the same seed, whose draws would be
    proposed again.
    """
    if isinstance(study.initial, int) or not study.initial:
        return derive_seed(study.seed, "engine")
    points = plain_repr([sorted(point.items()) for point in study.initial])
    return derive_seed(study.seed, "engine", points)


def _value(domain: Domain, share: float) -> Any:
    """Return the value that lies at a share, from 0 to 1, of a domain."""
    if isinstance(domain, Choice):
        last = len(domain.values) - 1
        return domain.values[min(int(share * len(domain.values)), last)]
    if isinstance(domain, Int) and not domain.log:
        last = (domain.high - domain.low) // domain.step
        return int(domain.low + domain.step * min(int(share * (last + 1)), last))
    if isinstance(domain, Float) and domain.step is not None:
        values = domain.cut(None)
        return values[min(int(share * len(values)), len(values) - 1)]

    low = float(domain.low)
    high = float(domain.high)
    if domain.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    value = min(max(value, low), high)  # a logarithm's rounding may lead outside
    return round(value) if isinstance(domain, Int) else value
