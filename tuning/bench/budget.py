"""What each search of a benchmark may use: trained epochs, trials, or seconds of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tuning.data.folds import n_splits
from tuning.errors import StudyError
from tuning.study.engine_spec import engine_spec
from tuning.study.study import Study

MOST_TRIALS = 100_000
"""Where only epochs or seconds are limited."""

DEFAULT_TRIALS = 20
"""Of a study that has no number of trials, where one is needed."""

_SHARE_WITH_PATIENCE = 0.5  # of a trial's epochs, which patience may end early


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
        """As users write it on the command line: `epochs=400`, `time=600s`."""
        if self.kind == "time":
            return f"time={self.amount:g}s"
        return f"{self.kind}={self.amount:.0f}"

    @property
    def words(self) -> str:
        """As it stands in a sentence: "400 epochs"."""
        if self.kind == "time":
            return f"{self.amount:g} seconds of training"
        return f"{self.amount:.0f} {self.kind}"

    def trials_for(self, study: Study) -> int:
        """Return `trials` for a study under this budget.

        Engines that plan ahead (grids, halving, generations) get as many as the budget pays for. A
        time budget cannot be given in trials: there the study's own number counts. The others are
        ended by the budget itself.
        """
        spec = engine_spec(study.engine)
        if self.kind != "trials" and not spec.trials_shape_proposals:
            return MOST_TRIALS
        if self.kind == "epochs" and spec.trials_within is not None:
            return spec.trials_within(self.amount / _fits(study), study.epochs)
        return self.whole_trials(study)

    def require_a_trial(self, study: Study) -> None:
        """Check that a search can end one trial at least; else it trains for nothing.

        Raises:
            StudyError: It cannot; says what one trial takes.
        """
        if self.kind != "epochs" or engine_spec(study.engine).rations_epochs:
            return
        epochs = study.epochs
        if study.patience is not None:
            epochs = min(epochs, study.patience + 1)  # it may end no earlier
        least = epochs * _fits(study)
        if self.amount < least:
            raise StudyError(
                f"--budget {self.text} pays for no trial of '{study.name}' under {study.engine}: "
                f"one takes {least} epochs at least; give epochs={least} or more"
            )

    def whole_trials(self, study: Study) -> int:
        """Return how many trials of all their epochs a study gets, as far as that can be told.

        A trial that patience may end is taken to train for half of its epochs.
        """
        if self.kind == "trials":
            return int(self.amount)
        if self.kind == "time":
            return study.trials or DEFAULT_TRIALS

        share = 1.0 if study.patience is None else _SHARE_WITH_PATIENCE
        epochs_of_a_trial = share * study.epochs * _fits(study)
        return max(1, math.ceil(self.amount / epochs_of_a_trial))


def _fits(study: Study) -> int:
    """Return how many times a trial is trained: on each fold, with each seed."""
    return n_splits(study.cv) * study.repeats
