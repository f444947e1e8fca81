"""One proposal in, one result out: what a worker does for a trial."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import psutil
import tensorflow as tf

from tuning.errors import MissingError, StorageError, TrialError
from tuning.ledger.results import keep_result, read_result
from tuning.storage.durable import says_full, write_json
from tuning.study.study import derive_seed
from tuning.trainer.compiled import forget_all
from tuning.trial import Answer, Context, EpochReport, FoldResult, Status, TrialResult
from tuning.trials.advance import EpochReporter, advance, advance_together
from tuning.trials.checkpoint import Keeper, kept_at, load_checkpoint, save_checkpoint
from tuning.trials.earlier_attempts import (
    checkpoint_path,
    folds_of_earlier_attempts,
    keep_fold,
    newest_checkpoint,
)
from tuning.trials.folds import FoldFit, prepare_fit, summarise
from tuning.trials.functions import function_trial
from tuning.trials.held_out_score import score_test_part
from tuning.trials.jobs import Stopped, TrialJob
from tuning.trials.training import Train, Training
from tuning.trials.worker_study import load_worker_study


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
    """Do what `run_trial` promises around `train`.

    The steps: prepare; train, once more at half the batch where memory runs out, and classify
    what went wrong; complete the result; keep it.
    """
    known = read_result(job.folder)
    if known is not None:
        return known

    started = _Started(at=time.time(), clock=time.perf_counter())
    reports = _ReportLog(context)
    training = _prepare(job, reports)
    if training.worker_study.study.trainer == "function":
        train = function_trial

    outcome = _train_within_memory(train, training)
    result = _complete(outcome, training, reports, started)

    keep_result(job.folder, result)
    _remove_checkpoints_of_folds(job.folder)
    return result


class _Started(NamedTuple):
    """When a trial began: `at` to be shown, `clock` to be measured from."""

    at: float
    clock: float


class _ReportLog:
    """A context that remembers what was reported through it.

    Attributes:
        values: (epoch, value) of each report.
        epochs: Epochs trained, over all fits.
    """

    def __init__(self, inner: Context) -> None:
        self._inner = inner
        self.slot = inner.slot
        self.values: list[tuple[int, float]] = []
        self.epochs = 0

    def report(self, report: EpochReport) -> Answer:
        self.values.append((report.epoch, report.value))
        self.epochs += report.fits
        return self._inner.report(report)

    def retire(self) -> None:
        self._inner.retire()


def _prepare(job: TrialJob, context: Context) -> Training:
    worker_study = load_worker_study(job.source, job.overrides, job.pinned)
    study = worker_study.study
    return Training(
        job=job,
        worker_study=worker_study,
        point=study.split_params(job.proposal.params),
        seed=derive_seed(study.seed, "training"),
        context=context,
    )


def _train_within_memory(train: Train, training: Training) -> TrialResult:
    """Train; where memory runs out, once more at half the batch.

    Later attempts train at half the batch alone.
    """
    job = training.job
    half = training.point.batch_size // 2
    halved = job.folder / "halved.json"

    # The file stands for an earlier attempt that ran out of memory at the whole batch.
    if not halved.exists():
        result = _train_or_classify(train, training)
        # The batch size of scikit-learn's call is packed into it.
        can_be_halved = job.proposal.call is None and half >= 1
        if result.status is not Status.INFEASIBLE or not can_be_halved:
            return result

        forget_all()
        for path in job.folder.glob("attempt-*/fold-*"):  # one trial has one batch size
            path.unlink()
        write_json(halved, {"batch_size": half})

    result = _train_or_classify(train, training.at_batch_size(half))
    notice = f"batch_size halved to {half} after running out of memory"
    return replace(result, batch_size=half, notices=(*result.notices, notice))


def _train_or_classify(train: Train, training: Training) -> TrialResult:
    """Train; make a result of what goes wrong with this trial alone."""
    try:
        return train(training)
    except (Stopped, StorageError, MissingError):
        raise
    except Exception as error:  # whatever a builder or Keras raises is this trial's own fault
        return _classify(error, training)


def _classify(error: Exception, training: Training) -> TrialResult:
    """Return the result of a trial that ended with `error`.

    Raises:
        StorageError: It was the disk's fault.
    """
    number = training.job.proposal.number
    # TensorFlow calls a full disk an exhausted resource, as it does memory.
    if says_full(str(error)):
        raise StorageError(f"trial {number}: {first_line(error)}") from error

    if out_of_memory(error):
        training.context.retire()  # the allocator of this process is fragmented now
        message = f"out of memory: {first_line(error)}"
        return TrialResult(number, Status.INFEASIBLE, error=message)

    traceback.print_exc()  # whole, into the worker's log
    message = f"{type(error).__name__}: {first_line(error)}"
    return TrialResult(number, Status.FAILED, error=message)


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, of the host or of a device.

    XLA and cuDNN say so only in the text of an `InternalError`.
    """
    if isinstance(error, tf.errors.ResourceExhaustedError | MemoryError):
        return True
    if not isinstance(error, tf.errors.OpError):
        return False
    text = str(error).lower()
    return "out of memory" in text or "resource_exhausted" in text


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, at most 300 characters."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), "")[:300]


def _complete(
    outcome: TrialResult, training: Training, reports: _ReportLog, started: _Started
) -> TrialResult:
    """Add to a result what only the worker knows: attempt, seed, slot, times, memory, reports."""
    seed = training.seed
    if outcome.folds:  # a recording trains on seeds of its own
        seed = outcome.folds[0].seed

    epochs = outcome.epochs
    if outcome.status in (Status.FAILED, Status.INFEASIBLE):
        epochs = reports.epochs  # what was trained until then is not lost on those who count

    reported = None
    if training.worker_study.study.pruner != "none":
        reported = tuple(reports.values)

    return replace(
        outcome,
        attempt=training.job.attempt,
        seed=seed,
        epochs=epochs,
        reported=reported,
        slot=training.context.slot,
        started_at=started.at,
        ended_at=time.time(),
        seconds=time.perf_counter() - started.clock,
        rss_mb=psutil.Process().memory_info().rss / 2**20,
    )


def _remove_checkpoints_of_folds(folder: Path) -> None:
    """Remove what an interruption would have needed."""
    for path in folder.glob("attempt-*/fold-*.npz"):
        path.unlink()


@dataclass(frozen=True)
class _TrainedFolds:
    """The fits of this attempt, and the results of all: those of earlier attempts included."""

    fits: list[FoldFit]
    results: list[FoldResult]


def _train(training: Training) -> TrialResult:
    job = training.job
    train_folds = _train_folds_together if job.lockstep else _train_fold_by_fold
    trained = train_folds(training)

    if job.score_test:
        score_test_part(job.folder, training.worker_study, trained.fits)
    if job.keep_end:
        for item in trained.fits:
            end = _end_path(job.folder, item.fold)
            save_checkpoint(end, item.fit.model, item.last_epoch)
    return summarise(job.proposal, trained.results, trained.fits)


def _train_folds_together(training: Training) -> _TrainedFolds:
    """Train all folds in lock-step."""
    reporter = EpochReporter(training)
    folds = range(training.worker_study.n_fits)
    fits = [_prepare_fold(training, fold, reporter) for fold in folds]
    _take_up_together(fits, training.job.folder)
    advance_together(fits, reporter)
    results = [item.result(training.worker_study, training.seed) for item in fits]
    return _TrainedFolds(fits, results)


def _train_fold_by_fold(training: Training) -> _TrainedFolds:
    """Train the folds that no earlier attempt has finished, each to its end."""
    job = training.job
    n_fits = training.worker_study.n_fits
    results = folds_of_earlier_attempts(job.folder)
    finished = {result.fold for result in results}
    reporter = EpochReporter(training)

    fits: list[FoldFit] = []
    for fold in range(n_fits):
        if fold in finished:
            continue
        item = _prepare_fold(training, fold, reporter)
        fits.append(item)
        _take_up(item, job.folder)
        advance(item, reporter)

        result = item.result(training.worker_study, training.seed)
        results.append(result)
        if item.judge.diverged or item.judge.answer is not Answer.CONTINUE:
            break
        if n_fits > 1:
            keep_fold(job, result)
    return _TrainedFolds(fits, results)


def _prepare_fold(training: Training, fold: int, reporter: EpochReporter) -> FoldFit:
    """Build the model of one fit, continue its parent where it has one, set up what watches it."""
    job = training.job
    item = prepare_fit(
        training.worker_study,
        training.point,
        training.worker_study.fold(fold),
        epochs=job.proposal.epochs,
        seed=training.seed,
        on_epoch=None if job.lockstep else reporter.one_fold,
    )
    item.fold = fold
    if job.parent is not None:
        _continue_parent(item, job, _end_path(job.parent, fold))
    if item.fit.initial_epoch >= item.fit.epochs_total:
        raise TrialError(
            f"trial {job.proposal.parent} was trained for {item.fit.initial_epoch} epochs: "
            "none is left"
        )

    path = checkpoint_path(job, fold)
    item.keeper = Keeper(path, item.judge, item.stopper, item.fit, alone=not job.lockstep)
    item.fit.callbacks = [*item.fit.callbacks, item.keeper]
    return item


def _end_path(folder: Path, fold: int) -> Path:
    """Return where the end of a fit is kept for the trials that continue it."""
    return folder / f"end-{fold}.npz"


def _continue_parent(item: FoldFit, job: TrialJob, end: Path) -> None:
    if end.exists():
        item.fit.initial_epoch = load_checkpoint(end, item.fit.model)
    else:
        parent = job.proposal.parent
        item.fit.notes.append(f"the checkpoint of trial {parent} is gone: trained from epoch 0")


def _take_up(item: FoldFit, folder: Path) -> None:
    """Go on where an earlier attempt at this trial was interrupted, if it has kept something."""
    checkpoint = newest_checkpoint(folder, item.fold)
    if checkpoint is None or item.keeper is None:
        return

    fit = item.fit
    try:
        item.keeper.resume(checkpoint, fit.model)
    except ValueError as error:
        attempt = checkpoint.parent.name
        fit.notes.append(f"the checkpoint of {attempt} was not used: {first_line(error)}")
        return

    fit.began_at = fit.initial_epoch
    fit.initial_epoch = item.keeper.resumed_from
    fit.notes.append(f"taken up at epoch {item.keeper.resumed_from}")
    if fit.reason:
        fit.notes.append("model.fit draws another order of rows after an interruption")


def _take_up_together(fits: list[FoldFit], folder: Path) -> None:
    """Do the same for folds in lock-step: only where all were kept after the same epoch."""
    epochs = set()
    for item in fits:
        checkpoint = newest_checkpoint(folder, item.fold)
        if checkpoint is None:
            return
        epochs.add(kept_at(checkpoint))
    if len(epochs) > 1:
        return

    for item in fits:
        _take_up(item, folder)
        if item.keeper is not None and item.keeper.ended:
            item.fit.epochs_total = item.fit.initial_epoch
