"""Which finalist wins: by one objective the best mean, by several the knee of their front."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.ledger.winner import Standing
from tuning.scoring.pareto import Scale, ranking
from tuning.study.info import StudyInfo


def is_eligible(standing: Standing, study: StudyInfo) -> bool:
    """Whether it has a value on each fresh seed, and on the mean keeps to every constraint."""
    if standing.mean is None:
        return False
    for constraint in study.constraints:
        mean = standing.mean_of(constraint.figure)
        if mean is None or not constraint.holds(mean):
            return False
    return True


def best_standing(standings: Sequence[Standing], study: StudyInfo, scale: Scale | None) -> Standing:
    """Return the winner of the finalists.

    Args:
        standings: One of them eligible at least.
        study: What they were trained for.
        scale: Of the front of the whole search, where it has several objectives: among a handful
            of finalists each would be the best in something.
    """
    eligible = [standing for standing in standings if is_eligible(standing, study)]
    if not study.objectives:
        return min(eligible, key=lambda standing: study.objective.key(standing.mean or 0.0))

    rows = [_means(standing, study) for standing in eligible]
    return eligible[next(ranking(rows, study.objectives, study.winner_by, scale))]


def _means(standing: Standing, study: StudyInfo) -> list[float]:
    means = [standing.mean_of(objective.metric) for objective in study.objectives]
    return [mean for mean in means if mean is not None]
