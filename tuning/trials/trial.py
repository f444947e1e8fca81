"""One proposal in, one result out: what a worker does for a trial."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeAlias

import psutil
import tensorflow as tf

from tuning.errors import MissingError, StorageError, TrialError
from tuning.ledger.results import keep_result, read_result
from tuning.storage.durable import says_full, write_json
from tuning.study.study import derive_seed
from tuning.trainer.compiled import forget_all
from tuning.trial import Context, EpochReport, Status, TrialResult
from tuning.trials.checkpoint import Keeper, kept_at, load_checkpoint, save_checkpoint
from tuning.trials.folds import (
    EpochReporter,
    FoldFit,
    advance,
    advance_together,
    folds_of_earlier_attempts,
    kept_by_earlier_attempts,
    prepare_fit,
    summarise,
)
from tuning.trials.functions import function_trial
from tuning.trials.held_out_score import score_test_part
from tuning.trials.jobs import Stopped, TrialJob
from tuning.trials.worker_study import WorkerStudy, worker_study

Train: TypeAlias = "Callable[[TrialJob, WorkerStudy, int, Context], TrialResult]"


def run_trial(job: TrialJob, context: Context) -> TrialResult:
    """Train one trial and keep its result in its folder; the function of a trial's `Job`.

    Errors in the builder or in training make a FAILED result, memory that runs out an INFEASIBLE
    one.

    Raises:
        TuningError: The study, its data or the disk: these end the run, not the trial.
        Stopped: The driver said "stop"; nothing is decided about the trial.
    """
    return carry_out(_train, job, context)


def carry_out(train: Train, job: TrialJob, context: Context) -> TrialResult:
    """Do what `run_trial` promises around `train`, which makes the result of a trial that goes
    well.
    """
    known = read_result(job.folder)
    if known is not None:
        return known
    began = time.time()
    clock = time.perf_counter()
    bench = worker_study(job.source, job.overrides, job.pinned)
    seed = derive_seed(bench.study.seed, "training")
    result = _guarded(
        function_trial if bench.study.trainer == "function" else train, job, bench, seed, context
    )
    result = replace(
        result,
        attempt=job.attempt,
        seed=next((fold.seed for fold in result.folds), seed),
        slot=context.slot,
        started_at=began,
        ended_at=time.time(),
        seconds=time.perf_counter() - clock,
        rss_mb=psutil.Process().memory_info().rss / 2**20,
    )
    keep_result(job.folder, result)
    for path in job.folder.glob("attempt-*/fold-*.npz"):  # what an interruption would have needed
        path.unlink()
    return result


def _guarded(
    train: Train, job: TrialJob, bench: WorkerStudy, seed: int, context: Context
) -> TrialResult:
    """Train; add to the result what the driver was told."""
    heard = _Heard(context)
    result = _tried_twice(train, job, bench, seed, heard)
    if result.status in (
        Status.FAILED,
        Status.INFEASIBLE,
    ):  # what it has trained is not lost on those who count
        result = replace(result, epochs=heard.epochs)
    return replace(result, reported=None if bench.study.pruner == "none" else tuple(heard.reported))


def _tried_twice(
    train: Train, job: TrialJob, bench: WorkerStudy, seed: int, context: Context
) -> TrialResult:
    """Train; where memory runs out once more at half the batch, and in later attempts at that
    alone.
    """
    _, settings = bench.study.split_params(job.proposal.params)
    half, halved = settings["batch_size"] // 2, job.folder / "halved.json"
    if not halved.exists():  # else an earlier attempt has come to it
        result = _tried(train, job, bench, seed, context)
        if result.status is not Status.INFEASIBLE or job.proposal.call is not None or half < 1:
            return result
        forget_all()
        for path in job.folder.glob("attempt-*/fold-*"):  # one trial has one batch size
            path.unlink()
        write_json(halved, {"batch_size": half})
    smaller = replace(job.proposal, params={**job.proposal.params, "batch_size": half})
    again = _tried(train, replace(job, proposal=smaller), bench, seed, context)
    note = f"batch_size halved to {half} after running out of memory"
    return replace(again, batch_size=half, notices=(*again.notices, note))


def _tried(
    train: Train, job: TrialJob, bench: WorkerStudy, seed: int, context: Context
) -> TrialResult:
    """Train; turn what goes wrong with this trial alone into its result."""
    number = job.proposal.number
    try:
        return train(job, bench, seed, context)
    except (Stopped, StorageError, MissingError):
        raise
    except Exception as error:  # whatever a builder or Keras raises is this trial's own fault
        if says_full(str(error)):  # which TensorFlow calls an exhausted resource, as it does memory
            raise StorageError(f"trial {number}: {first_line(error)}") from error
        if out_of_memory(error):
            context.retire()  # the allocator of this process is fragmented now
            return TrialResult(
                number, Status.INFEASIBLE, error=f"out of memory: {first_line(error)}"
            )
        traceback.print_exc()  # whole, into the worker's log
        return TrialResult(
            number, Status.FAILED, error=f"{type(error).__name__}: {first_line(error)}"
        )


class _Heard:
    """A context that keeps what was reported through it."""

    def __init__(self, inner: Context) -> None:
        self._inner = inner
        self.slot = inner.slot
        self.reported: list[tuple[int, float]] = []
        self.epochs = 0

    def report(self, report: EpochReport) -> str:
        self.reported.append((report.epoch, report.value))
        self.epochs += report.fits
        return self._inner.report(report)

    def retire(self) -> None:
        self._inner.retire()


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, of the host or of a device; XLA and cuDNN say so in an
    InternalError's text.
    """
    if isinstance(error, tf.errors.ResourceExhaustedError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, tf.errors.OpError) and (
        "out of memory" in text or "resource_exhausted" in text
    )


def _train(job: TrialJob, bench: WorkerStudy, seed: int, context: Context) -> TrialResult:
    kept = [] if job.lockstep else folds_of_earlier_attempts(job.folder)
    done = {fold.fold for fold in kept}
    reporter = EpochReporter(job, bench, context, time.perf_counter())
    missing = [fold for fold in range(bench.n_fits) if fold not in done]
    fits, results = [], list(kept)
    if job.lockstep:
        fits = [_prepare(job, bench, fold, seed, reporter) for fold in missing]
        _take_up_together(fits, job.folder)
        advance_together(fits, reporter)
        results += [item.result(bench, seed) for item in fits]
    else:
        for fold in missing:
            fits.append(_prepare(job, bench, fold, seed, reporter))
            _take_up(fits[-1], job.folder)
            advance(fits[-1], reporter)
            results.append(fits[-1].result(bench, seed))
            if fits[-1].judge.diverged or fits[-1].judge.verdict != "continue":
                break
            if bench.n_fits > 1:
                write_json(
                    job.folder / f"attempt-{job.attempt}" / f"fold-{fold}.json", asdict(results[-1])
                )
    if job.score_test:
        score_test_part(job.folder, bench, fits)
    if job.keep_end:
        for item in fits:
            save_checkpoint(
                job.folder / f"end-{item.fold}.npz",
                item.fit.model,
                int(item.judge.curve[-1]["epoch"]),
            )
    return summarise(
        job.proposal, results, [item.judge for item in fits], [n for i in fits for n in i.fit.notes]
    )


def _prepare(
    job: TrialJob, bench: WorkerStudy, fold: int, seed: int, reporter: EpochReporter
) -> FoldFit:
    """Build the model of one fit, continue its parent where it has one, and set up what watches it."""
    proposal, rows = job.proposal, bench.fold(fold)
    on_epoch = None if job.lockstep else reporter.one_fold
    item = prepare_fit(bench, proposal.params, proposal.epochs, rows, seed, on_epoch=on_epoch)
    item.fold = fold
    if job.parent is not None:
        checkpoint = job.parent / f"end-{fold}.npz"
        if checkpoint.exists():
            item.fit.initial_epoch = load_checkpoint(checkpoint, item.fit.model)
        else:
            item.fit.notes.append(
                f"the checkpoint of trial {proposal.parent} is gone: trained from epoch 0"
            )
    if item.fit.initial_epoch >= item.fit.epochs_total:
        raise TrialError(
            f"trial {proposal.parent} was trained for {item.fit.initial_epoch} epochs: none is left"
        )
    path = job.folder / f"attempt-{job.attempt}" / f"fold-{fold}.npz"
    item.keeper = Keeper(path, item.judge, item.stopper, item.fit, alone=not job.lockstep)
    item.fit.callbacks = [*item.fit.callbacks, item.keeper]
    return item


def _take_up(item: FoldFit, folder: Path) -> None:
    """Go on where an earlier attempt at this trial was interrupted, if it has kept something."""
    found = kept_by_earlier_attempts(folder, item.fold)
    if found is None or item.keeper is None:
        return
    try:
        item.keeper.resume(found, item.fit.model)
    except ValueError as error:
        item.fit.notes.append(
            f"the checkpoint of {found.parent.name} was not used: {first_line(error)}"
        )
        return
    item.fit.began_at, item.fit.initial_epoch = item.fit.initial_epoch, item.keeper.resumed_from
    item.fit.notes.append(f"taken up at epoch {item.keeper.resumed_from}")
    if item.fit.reason:
        item.fit.notes.append("model.fit draws another order of rows after an interruption")


def _take_up_together(fits: list[FoldFit], folder: Path) -> None:
    """The same for folds in lock-step: only where all were kept after the same epoch."""
    found = [kept_by_earlier_attempts(folder, item.fold) for item in fits]
    if None in found or len({kept_at(path) for path in found if path is not None}) > 1:
        return
    for item in fits:
        _take_up(item, folder)
        if item.keeper is not None and item.keeper.ended:
            item.fit.epochs_total = item.fit.initial_epoch


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, at most 300 characters."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:300]
