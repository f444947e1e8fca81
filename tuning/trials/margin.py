"""By how much a winner beats its linear baseline on the test part, and how sure that is."""

from __future__ import annotations

import numpy as np
from numpy.random import default_rng

from tuning.data.dataset import Array, Task
from tuning.ledger.winner import Margin
from tuning.scoring import metrics
from tuning.study.objective import BETTER

RESAMPLES = 400
"""Bootstrap samples: the standard error they give is itself within about 4 %."""


def margin(metric: str, task: Task, y: Array, winner: Array, linear: Array) -> Margin | None:
    """Compare two predictions of the same rows, row by row.

    Both are right or wrong about many of the rows together: the difference is surer than the two
    scores are.

    Source: the paired bootstrap, scipy.stats.bootstrap; Efron & Tibshirani 1993, chapter 6.

    Args:
        metric: One of ours; for any other there is no margin.
        task: Of the data.
        y: The truth, one row a case.
        winner, linear: Predictions as a model of the task gives them.

    Returns:
        None where the metric is not ours or has no value here.
    """
    if metric not in metrics.fitting(task) or metric == "loss" or len(y) < 2:
        return None

    from scipy.stats import bootstrap

    sign = 1.0 if BETTER[metric] == "maximize" else -1.0

    def difference(rows: Array) -> float:
        drawn = np.asarray(rows, int)
        ours = metrics.score(metric, task, y[drawn], winner[drawn])
        theirs = metrics.score(metric, task, y[drawn], linear[drawn])
        return sign * (ours - theirs)

    rows = np.arange(len(y))
    of_all_rows = difference(rows)
    if not np.isfinite(of_all_rows):
        return None

    # On a seed of its own: the same predictions have the same margin whenever they are compared.
    resampled = bootstrap(
        (rows,),
        difference,
        n_resamples=RESAMPLES,
        vectorized=False,
        method="percentile",
        rng=default_rng(0),
    )
    standard_error = float(np.nanstd(resampled.bootstrap_distribution, ddof=1))
    return Margin(difference=of_all_rows, standard_error=standard_error)
