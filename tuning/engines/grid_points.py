"""Which points a grid engine takes, in which order, and what the user is told of those left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tuning.errors import StudyError
from tuning.study.study import Study, derive_seed
from tuning.study.unit_cube import initial_points
from tuning.trial import Params

CUT = 3  # points of an axis that is neither a Choice nor a stepped or short Int
MOST_POINTS = 1_000_000  # a grid is held in memory; nobody trains more


class GridPoints(NamedTuple):
    """The points of a grid in the space's order, and the notices on what was left out.

    Attributes:
        n_known: How many of the points are the study's own, in front of the grid's.
    """

    points: Sequence[Params]
    notices: tuple[str, ...]
    n_known: int = 0


def grid_points(study: Study) -> GridPoints:
    """Return the points of a study's grid, behind those that the study begins with.

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

    known = initial_points(study)
    points = known + [point for point in space.grid(CUT) if point not in known]
    n_known = len(known)
    cut = [f"grid: {_values_in_words(name, axes[name])}" for name in space.cut_axes(CUT)]
    if study.trials is None or study.trials >= len(points):
        return GridPoints(points, (f"grid: {len(points)} points", *cut), n_known)

    rng = np.random.default_rng(derive_seed(study.seed, "grid"))
    n_drawn = max(0, study.trials - n_known)
    drawn = n_known + rng.choice(len(points) - n_known, size=n_drawn, replace=False)
    sample = [*range(min(n_known, study.trials)), *sorted(drawn.tolist())]
    head = (
        f"grid: a seeded sample of {len(sample)} of {len(points)} points; "
        f"{len(points) - len(sample)} left out (--trials {study.trials})"
    )
    return GridPoints([points[i] for i in sample], (head, *cut), n_known)


def _values_in_words(name: str, values: Sequence[float]) -> str:
    listed = ", ".join(f"{value:.6g}" for value in values)
    return f"of {name}, from {values[0]:.6g} to {values[-1]:.6g}, only {listed} are tried"
