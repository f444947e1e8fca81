"""What a worker does for a recording: one point trained to its end, with its epochs' times."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tuning.trial import Answer, Context, FoldResult, TrialResult
from tuning.trials.advance import EpochReporter
from tuning.trials.earlier_attempts import callbacks_folder
from tuning.trials.folds import FoldFit, prepare_fit, summarise
from tuning.trials.jobs import RecordJob, training_seed
from tuning.trials.judge import OnEpoch
from tuning.trials.training import Training
from tuning.trials.trial import carry_out


def run_recorded(job: RecordJob, context: Context) -> TrialResult:
    """Train one point on a training seed of the recording and keep the result.

    Each row of its curves has `seconds` since its fit began.

    Raises:
        TuningError: The study, its data or the disk.
        Stopped: The driver said "stop"; nothing is decided about the point.
    """

    def train(training: Training) -> TrialResult:
        seed = training_seed(training.worker_study.study.seed, job.index)
        return _train(replace(training, seed=seed))

    return carry_out(train, job, context)


def _train(training: Training) -> TrialResult:
    proposal = training.job.proposal
    reporter = EpochReporter(training)
    fits: list[FoldFit] = []
    results: list[FoldResult] = []
    for fold in range(training.worker_study.n_fits):
        clock = _EpochClock(reporter.one_fold)
        item = prepare_fit(
            training.worker_study,
            training.point,
            training.worker_study.rows_of_fit(fold),
            epochs=proposal.epochs,
            seed=training.seed_of(fold),
            on_epoch=clock.epoch,
            folder=callbacks_folder(training.job, fold),
        )
        item.fold = fold
        # From here on: to build the model is no part of the first epoch.
        clock.began = time.perf_counter()
        item.train()
        reporter.check(item.judge.answer)

        fits.append(item)
        results.append(clock.timed(item.result(training.worker_study, training.seed_of(fold))))
        if item.judge.diverged:
            break
    return summarise(proposal, results, fits)


@dataclass(eq=False)
class _EpochClock:
    """Notes when each epoch has ended, in seconds since `began`."""

    report: OnEpoch
    began: float = 0.0
    ended: dict[int, float] = field(default_factory=dict)

    def epoch(self, row: Mapping[str, float]) -> Answer:
        """Take an epoch, pass it on."""
        self.ended[int(row["epoch"])] = time.perf_counter() - self.began
        return self.report(row)

    def timed(self, result: FoldResult) -> FoldResult:
        """Return a fit's result with `seconds` in each row of its curve."""
        # The epoch that a fit diverged in was not reported: it ends now.
        now = time.perf_counter() - self.began
        curve = tuple(
            {**row, "seconds": self.ended.get(int(row["epoch"]), now)} for row in result.curve
        )
        # With what lies between its epochs: a replay takes as long as the fit did.
        seconds = curve[-1]["seconds"] if curve else 0.0
        return replace(result, curve=curve, seconds=seconds)
