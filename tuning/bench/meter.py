"""What a search of a benchmark has used of its budget, and what each of its trials has cost."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tuning.bench.budget import Budget
from tuning.trial import TrialResult


@dataclass(frozen=True)
class Cost:
    """What a trial has cost, or several together.

    Attributes:
        epochs: Epochs trained, of all folds together.
        seconds: Seconds of training.
    """

    epochs: int
    seconds: float


def cost_of(result: TrialResult, original: Cost | None = None) -> Cost:
    """Return what a trial counts for.

    A result that was copied from an equal trial counts what that one cost, `original`: an engine
    that repeats itself is not free, it only was not waited for. One that failed before its first
    epoch counts one, else a search of nothing but failures would have no end.
    """
    if original is not None:
        return original
    return Cost(max(1, result.epochs), result.training_s or result.seconds)


class Meter:
    """Counts what a search has used, the running trial included.

    Trials of one search follow one another.

    Attributes:
        budget: What the search may use.
        costs: What the trials that have ended cost, by number.
        stopped_at: What is used in all where the budget has stopped a trial; else None.
        halted: The user has stopped the search.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.costs: dict[int, Cost] = {}
        self.stopped_at: Cost | None = None
        self.halted = False
        self._ended_epochs = 0
        self._ended_seconds = 0.0
        self._running_epochs = 0
        self._began_at = 0.0

    def begin(self, epochs: int = 0, seconds: float = 0.0) -> None:
        """Begin a trial, or go on with it.

        Args:
            epochs: What earlier attempts have trained and it will not report again.
            seconds: What these took.
        """
        self._running_epochs = epochs
        self._began_at = time.perf_counter() - seconds

    def epoch(self, fits: int) -> bool:
        """Count an epoch of `fits` fits; return whether the trial must stop.

        A trial that ends just when the budget does is whole: only the first epoch beyond the budget
        stops it.
        """
        self._running_epochs += fits
        epochs = self._ended_epochs + self._running_epochs
        seconds = self._ended_seconds + time.perf_counter() - self._began_at
        if self.budget.kind == "epochs" and epochs > self.budget.amount:
            self.stopped_at = Cost(int(self.budget.amount), seconds)
        elif self.budget.kind == "time" and seconds > self.budget.amount:
            self.stopped_at = Cost(epochs, self.budget.amount)
        return self.stopped_at is not None

    def end(self, result: TrialResult) -> None:
        """Count a trial that has ended."""
        original = None
        if result.copied_from is not None:
            original = self.costs.get(result.copied_from)
        cost = cost_of(result, original)

        self.costs[result.number] = cost
        self._ended_epochs += cost.epochs
        self._ended_seconds += cost.seconds

    @property
    def enough(self) -> bool:
        """Whether no further trial is begun."""
        if self.halted or self.stopped_at is not None:
            return True
        if self.budget.kind == "epochs":
            return self._ended_epochs >= self.budget.amount
        if self.budget.kind == "time":
            return self._ended_seconds >= self.budget.amount
        return False  # a number of trials is kept by the loop itself
