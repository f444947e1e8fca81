"""By how much a winner beats its linear baseline on the test part, and how sure that is."""

from __future__ import annotations

import numpy as np
from numpy.random import default_rng

from tuning.data.dataset import Array, Task
from tuning.study.objective import BETTER
from tuning.trials import metrics

RESAMPLES = 400
"""Bootstrap samples: the standard error they give is itself within about 4 %."""


def margin(
    metric: str, task: Task, y: Array, winner: Array, linear: Array
) -> dict[str, float] | None:
    """Compare two predictions of the same rows, row by row: both are right or wrong about many of
    them together.

    Source: the paired bootstrap, scipy.stats.bootstrap; Efron & Tibshirani 1993, chapter 6.

    Args:
        metric: One of ours; for any other there is no margin.
        task: Of the data.
        y: The truth, one row a case.
        winner, linear: Predictions as a model of the task gives them.

    Returns:
        `difference`, above 0 where the winner is better, in the metric's unit, and its
        `standard_error`; None where the metric is not ours or has no value here.
    """
    if metric not in metrics.fitting(task) or metric == "loss" or len(y) < 2:
        return None
    from scipy.stats import bootstrap

    sign = 1.0 if BETTER[metric] == "maximize" else -1.0

    def difference(rows: Array) -> float:
        kept = np.asarray(rows, int)
        ours, theirs = (metrics.score(metric, task, y[kept], p[kept]) for p in (winner, linear))
        return sign * (ours - theirs)

    found = difference(np.arange(len(y)))
    if not np.isfinite(found):
        return None
    drawn = bootstrap(
        (np.arange(len(y)),),
        difference,
        n_resamples=RESAMPLES,
        vectorized=False,
        method="percentile",
        rng=default_rng(0),
    ).bootstrap_distribution
    return {"difference": found, "standard_error": float(np.nanstd(drawn, ddof=1))}
