"""Which points a grid engine takes, in which order, and what the user is told of those left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuning.errors import StudyError
from tuning.study.study import Study, derive_seed

CUT = 3  # points of an axis that is neither a Choice nor a stepped or short Int
MOST_POINTS = 1_000_000  # a grid is held in memory; nobody trains more


def grid_points(study: Study) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the grid's points in the space's order and the notices on what was left out.

    `study.trials` below the number of points gives a seeded sample of so many.

    Raises:
        StudyError: The grid has more than a million points.
    """
    space = study.space
    size = int(np.prod([len(domain.cut(CUT)) for domain in space.domains.values()], dtype=float))
    if size > MOST_POINTS:
        raise StudyError(
            f"space: the grid has {size:,} points; use fewer or coarser axes", where=study.engine
        )
    points = space.grid(CUT)
    notices = [f"grid: {_listed(name, space[name].cut(CUT))}" for name in space.cut_axes(CUT)]
    if study.trials is None or study.trials >= len(points):
        return points, (f"grid: {len(points)} points", *notices)
    rng = np.random.default_rng(derive_seed(study.seed, "grid"))
    kept = sorted(rng.choice(len(points), size=study.trials, replace=False))
    left = len(points) - len(kept)
    head = f"grid: a seeded sample of {len(kept)} of {len(points)} points; {left} left out (--trials {study.trials})"
    return [points[i] for i in kept], (head, *notices)


def _listed(name: str, values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values)
    return f"of {name}, from {values[0]:.6g} to {values[-1]:.6g}, only {shown} are tried"
