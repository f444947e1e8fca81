"""Which points a grid engine takes, in which order, and what the user is told of those left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tuning.errors import StudyError
from tuning.study.study import Study, derive_seed
from tuning.trial import Params

CUT = 3  # points of an axis that is neither a Choice nor a stepped or short Int
MOST_POINTS = 1_000_000  # a grid is held in memory; nobody trains more


class GridPoints(NamedTuple):
    """The points of a grid in the space's order, and the notices on what was left out."""

    points: Sequence[Params]
    notices: tuple[str, ...]


def grid_points(study: Study) -> GridPoints:
    """Return the points of a study's grid.

    `study.trials` below their number gives a seeded sample of so many.

    Raises:
        StudyError: The grid has more than a million points.
    """
    space = study.space
    axes = {name: domain.cut(CUT) for name, domain in space.domains.items()}
    size = int(np.prod([len(values) for values in axes.values()], dtype=float))
    if size > MOST_POINTS:
        raise StudyError(
            f"space: the grid has {size:,} points; use fewer or coarser axes", where=study.engine
        )

    points = space.grid(CUT)
    cut = [f"grid: {_values_in_words(name, axes[name])}" for name in space.cut_axes(CUT)]
    if study.trials is None or study.trials >= len(points):
        return GridPoints(points, (f"grid: {len(points)} points", *cut))

    rng = np.random.default_rng(derive_seed(study.seed, "grid"))
    sample = sorted(rng.choice(len(points), size=study.trials, replace=False))
    head = (
        f"grid: a seeded sample of {len(sample)} of {len(points)} points; "
        f"{len(points) - len(sample)} left out (--trials {study.trials})"
    )
    return GridPoints([points[i] for i in sample], (head, *cut))


def _values_in_words(name: str, values: Sequence[float]) -> str:
    listed = ", ".join(f"{value:.6g}" for value in values)
    return f"of {name}, from {values[0]:.6g} to {values[-1]:.6g}, only {listed} are tried"
