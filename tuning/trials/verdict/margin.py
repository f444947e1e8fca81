"""By how much a winner beats a baseline on the test part, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import default_rng

from tuning.data.arrays import Array, Arrays
from tuning.ledger.winner import Margin
from tuning.scoring.measure import Measure
from tuning.study.objective import Objective

RESAMPLES = 400
"""Bootstrap samples: the standard error they give is itself within about 4 %."""
FEWEST = 50
"""Of them where rows hold many answers, as masks do: the error of the error is then 10 %."""
MOST_ANSWERS = 40_000_000
"""Answers that all samples together are scored on, so that masks take seconds and not minutes."""


@dataclass(frozen=True, eq=False)
class Rivals:
    """Two predictions of the same rows.

    Attributes:
        y: The truth, one row a case.
        winner, other: Predictions as a model of the task gives them.
        weight: What each row counts, or None.
        thresholds: Between two classes, of either.
    """

    y: Arrays
    winner: Arrays
    other: Arrays
    weight: Arrays | None = None
    thresholds: tuple[float | None, float | None] = (None, None)


def margin(measure: Measure, objective: Objective, rivals: Rivals) -> Margin | None:
    """Compare two predictions of the same rows, row by row.

    Both are right or wrong about many of the rows together: the difference is surer than the two
    scores are.

    Source: the paired bootstrap, scipy.stats.bootstrap; Efron & Tibshirani 1993, chapter 6.

    Args:
        measure: Computes the objective.
        objective: Says which way is better.
        rivals: What is compared.

    Returns:
        Above 0 where the winner is better; None where the metric has no value here.
    """
    y = measure.of_output(rivals.y)
    if len(y) < 2:
        return None

    from scipy.stats import bootstrap

    sign = 1.0 if objective.direction == "maximize" else -1.0
    winner = measure.of_output(rivals.winner)
    other = measure.of_output(rivals.other)
    weight = None if rivals.weight is None else measure.of_output(rivals.weight)
    of_winner, of_other = rivals.thresholds

    def difference(rows: Array) -> float:
        drawn = np.asarray(rows, int)
        drawn_weight = None if weight is None else weight[drawn]
        ours = measure(y[drawn], winner[drawn], drawn_weight, threshold=of_winner)
        theirs = measure(y[drawn], other[drawn], drawn_weight, threshold=of_other)
        return sign * (ours - theirs)

    rows = np.arange(len(y))
    of_all_rows = difference(rows)
    if not np.isfinite(of_all_rows):
        return None

    # On a seed of its own: the same predictions have the same margin whenever they are compared.
    resampled = bootstrap(
        (rows,),
        difference,
        n_resamples=_resamples(y),
        vectorized=False,
        method="percentile",
        rng=default_rng(0),
    )
    standard_error = float(np.nanstd(resampled.bootstrap_distribution, ddof=1))
    return Margin(difference=of_all_rows, standard_error=standard_error)


def _resamples(y: Array) -> int:
    if y.ndim <= 2:  # a table's rows
        return RESAMPLES
    return int(np.clip(MOST_ANSWERS // y.size, FEWEST, RESAMPLES))
