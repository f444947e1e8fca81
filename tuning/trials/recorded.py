"""What a worker does for a recording: one point trained to its end on a training seed of the
recording, with times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tuning.trial import Context, FoldResult, TrialResult
from tuning.trials.folds import EpochReporter, FoldFit, prepare_fit, summarise
from tuning.trials.jobs import RecordJob, TrialJob, training_seed
from tuning.trials.trial import carry_out
from tuning.trials.worker_study import WorkerStudy


def run_recorded(job: RecordJob, context: Context) -> TrialResult:
    """Train one point and keep the result; each row of its curves has `seconds` since its fit
    began.

    Raises:
        TuningError: The study, its data or the disk.
        Stopped: The driver said "stop"; nothing is decided about the point.
    """

    def train(_: TrialJob, bench: WorkerStudy, seed: int, context: Context) -> TrialResult:
        return _train(job, bench, training_seed(bench.study.seed, job.index), context)

    return carry_out(train, job, context)


def _train(job: RecordJob, bench: WorkerStudy, seed: int, context: Context) -> TrialResult:
    reporter = EpochReporter(job, bench, context, time.perf_counter())
    fits: list[FoldFit] = []
    results: list[FoldResult] = []
    for fold in range(bench.n_fits):
        clock = _Clock(reporter.one_fold)
        item = prepare_fit(
            bench,
            job.proposal.params,
            job.proposal.epochs,
            bench.fold(fold),
            seed,
            on_epoch=clock.epoch,
        )
        item.fold = fold
        clock.began = time.perf_counter()
        for _ in item.fit.epochs():
            pass
        reporter.check(item.judge.verdict)
        fits.append(item)
        results.append(clock.timed(item.result(bench, seed)))
        if item.judge.diverged:
            break
    return summarise(
        job.proposal, results, [item.judge for item in fits], [n for i in fits for n in i.fit.notes]
    )


@dataclass(eq=False)
class _Clock:
    """Notes when each epoch has ended."""

    report: Callable[[Mapping[str, float]], str]
    began: float = 0.0

    def __post_init__(self) -> None:
        self._at: dict[int, float] = {}

    def epoch(self, row: Mapping[str, float]) -> str:
        """Take an epoch, pass it on."""
        self._at[int(row["epoch"])] = time.perf_counter() - self.began
        return self.report(row)

    def timed(self, fold: FoldResult) -> FoldResult:
        """Return a fit's result with `seconds` in each row; the epoch it diverged in was not
        reported, it ends now.
        """
        now = time.perf_counter() - self.began
        rows = tuple({**row, "seconds": self._at.get(int(row["epoch"]), now)} for row in fold.curve)
        return replace(fold, curve=rows, seconds=rows[-1]["seconds"] if rows else 0.0)
