"""What each search of a benchmark may use, and what one has used: trained epochs, trials, or
seconds of training.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Literal

from tuning.study.engine_spec import engine_spec
from tuning.study.study import Study
from tuning.trial import TrialResult

MOST_TRIALS = 100_000
"""Where only epochs or seconds are limited."""
_SHARE_WITH_PATIENCE = 0.5


@dataclass(frozen=True)
class Budget:
    """How much each search may use.

    Attributes:
        kind: What is counted.
        amount: Of that, at most.
    """

    kind: Literal["epochs", "trials", "time"]
    amount: float

    @property
    def text(self) -> str:
        """As it is given on the command line: `epochs=400`, `time=600s`."""
        return f"time={self.amount:g}s" if self.kind == "time" else f"{self.kind}={self.amount:.0f}"

    @property
    def words(self) -> str:
        """As it is told: "400 epochs"."""
        return (
            f"{self.amount:g} seconds of training"
            if self.kind == "time"
            else f"{self.amount:.0f} {self.kind}"
        )

    def trials_for(self, study: Study) -> int:
        """Return `trials` for a study under this budget.

        Engines that plan ahead (grids, halving, generations) get as many as the budget pays for,
        where a trial that patience may end is taken to train for half of its epochs; a time budget
        cannot be told in trials, there the study's own number counts. The others are ended by the
        budget itself.
        """
        spec = engine_spec(study.engine)
        if self.kind != "trials" and not spec.trials_shape_proposals:
            return MOST_TRIALS
        if self.kind == "epochs" and spec.trials_within is not None:
            return spec.trials_within(self.amount / (study.cv or 1), study.epochs)
        return self.whole_trials(study)

    def whole_trials(self, study: Study) -> int:
        """Return how many trials of all their epochs a study gets, as far as that can be told."""
        if self.kind == "trials":
            return int(self.amount)
        if self.kind == "time":
            return study.trials or 20
        share = 1.0 if study.patience is None else _SHARE_WITH_PATIENCE
        return max(1, math.ceil(self.amount / (share * study.epochs * (study.cv or 1))))


@dataclass(frozen=True)
class Cost:
    """What a trial has cost."""

    epochs: int
    seconds: float


def cost_of(result: TrialResult, original: Cost | None = None) -> Cost:
    """Return what a trial counts for.

    A result that was copied from an equal trial counts what that one cost: an engine that repeats
    itself is not free, it only was not waited for. One that failed before its first epoch counts
    one, else a search of nothing but failures would have no end.
    """
    if original is not None:
        return original
    return Cost(max(1, result.epochs), result.training_s or result.seconds)


class Meter:
    """Counts what a search has used, the running trial included. Trials of one search follow one
    another.

    Attributes:
        ended: What the trials that have ended cost, by number.
        stopped: What is used in all where a trial was stopped by the budget, which it has used up;
            else None.
        halted: The user has stopped the search.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.ended: dict[int, Cost] = {}
        self.stopped: Cost | None = None
        self.halted = False
        self._epochs, self._seconds = 0, 0.0
        self._running, self._began = 0, 0.0

    def begin(self, epochs: int = 0, seconds: float = 0.0) -> None:
        """A trial begins, or goes on: after so many epochs, beside those it reports again, and so
        many seconds.
        """
        self._running, self._began = epochs, time.perf_counter() - seconds

    def epoch(self, fits: int) -> bool:
        """Count an epoch of `fits` fits; return whether the trial has gone beyond the budget, and
        must stop.

        A trial that ends just when the budget does is whole: only the first epoch beyond it is too
            much.
        """
        self._running += fits
        used = Cost(self._epochs + self._running, self._seconds + time.perf_counter() - self._began)
        if self.budget.kind == "epochs" and used.epochs > self.budget.amount:
            self.stopped = Cost(int(self.budget.amount), used.seconds)
        elif self.budget.kind == "time" and used.seconds > self.budget.amount:
            self.stopped = Cost(used.epochs, self.budget.amount)
        return self.stopped is not None

    def end(self, result: TrialResult) -> None:
        """Count a trial that has ended."""
        original = None if result.copied_from is None else self.ended.get(result.copied_from)
        cost = self.ended[result.number] = cost_of(result, original)
        self._epochs += cost.epochs
        self._seconds += cost.seconds

    @property
    def enough(self) -> bool:
        """Whether no further trial is begun."""
        used = {"epochs": self._epochs, "time": self._seconds, "trials": 0}[self.budget.kind]
        return self.halted or self.stopped is not None or used >= self.budget.amount
