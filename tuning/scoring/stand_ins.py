"""The values that Optuna is told: one an objective, also of a trial that broke a constraint."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.study.objective import Objective
from tuning.trial import TrialResult


class StandIns:
    """Gives what was never trained values, so that every sampler learns from its constraints.

    NSGA-II and the Gaussian process look at complete trials alone, and a complete trial has values.
    Which ones matters little: an infeasible trial is compared by how far it breaks the constraints.
    So it is told the worst that was seen of each objective, and what is known of its model as it
    is.

    Attributes:
        worst: The worst value seen of each objective; None: none was.

    Args:
        objectives: Of the study, in their order.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = objectives
        self.worst: list[float] | None = None

    def learn(self, result: TrialResult) -> list[float] | None:
        """Return the values of a completed trial, and remember the worst of each objective."""
        if result.value is None:
            return None
        values = list(result.values or (result.value,))
        if self.worst is None:
            self.worst = values
        else:
            pairs = zip(self._objectives, self.worst, values, strict=True)
            self.worst = [max(a, b, key=objective.key) for objective, a, b in pairs]
        return values

    def values_of(self, result: TrialResult) -> list[float] | None:
        """Return values for a trial that broke a constraint; its own where it was trained.

        None where no trial has completed yet: nothing is known of their scale.
        """
        if result.value is not None:
            return list(result.values or (result.value,))
        if self.worst is None:
            return None
        pairs = zip(self._objectives, self.worst, strict=True)
        return [result.metrics.get(objective.metric, worst) for objective, worst in pairs]
