"""One proposal in, one result out: what a worker does for a trial."""

from __future__ import annotations

import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil
import tensorflow as tf

from tuning.errors import MissingError, StorageError, first_line
from tuning.ledger.results import keep_result, read_result
from tuning.ledger.usage import devices_of, used_before
from tuning.storage.durable import read_json, write_json
from tuning.storage.full_disk import is_full_disk
from tuning.storage.secrets import without_secrets
from tuning.study.foreign.foreign_builder import trial_of
from tuning.study.study import derive_seed
from tuning.study.study_data import searched_arguments
from tuning.trainer.compiled import forget_all
from tuning.trial import Answer, Context, EpochReport, Status, TrialResult
from tuning.trials.functions import function_trial
from tuning.trials.jobs import Stopped, TrialJob
from tuning.trials.train_folds import train_folds
from tuning.trials.training import Train, Training, within_limits
from tuning.trials.usage.gpu_memory import take_peak_mb
from tuning.trials.usage.meter import Meter
from tuning.trials.worker_study import load_worker_study


def run_trial(job: TrialJob, context: Context) -> TrialResult:
    """Train one trial and keep its result in its folder; the function of a trial's `Job`.

    Errors in the builder or in training make a FAILED result, memory that runs out and constraints
    that are broken an INFEASIBLE one.

    Raises:
        TuningError: The study, its data or the disk: these end the run, not the trial.
        Stopped: The driver said "stop"; nothing is decided about the trial.
    """
    return carry_out(train_folds, job, context)


def carry_out(train: Train, job: TrialJob, context: Context) -> TrialResult:
    """Do what `run_trial` promises around `train`.

    The steps: prepare; train, once more at half the batch where memory runs out, and classify
    what went wrong; complete the result; keep it.
    """
    known = read_result(job.folder, job.proposal.digest)
    if known is not None:
        return known

    started = _Started(at=time.time(), clock=time.perf_counter())
    digest = job.proposal.digest
    with Meter(job.folder, job.attempt, context.slot, digest=digest) as meter:
        reports = _ReportLog(context)
        training = _prepare(job, reports)
        if training.worker_study.study.trainer == "function":
            train = function_trial

        with trial_of(training.worker_study.study.builder, job.proposal.number):
            outcome = _train_within_memory(train, training)
        result = _complete(outcome, training, reports, started)
        result = _with_usage(result, job, meter)

    # In this order: until the result is there, an interruption needs the checkpoints.
    keep_result(job.folder, result, job.proposal.digest)
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
    point = study.split_params(job.proposal.params)
    return Training(
        job=job,
        worker_study=worker_study.for_data(point.data),
        point=point,
        seed=derive_seed(study.seed, "training"),
        context=context,
    )


def _train_within_memory(train: Train, training: Training) -> TrialResult:
    """Train; where memory runs out, once more at half the batch.

    Later attempts train at half the batch alone.
    """
    job = training.job
    half = training.half_batch_size
    halved = job.folder / "halved.json"
    if not _has_run_out_before(halved, job.proposal.digest):
        result = _train_or_classify(train, training)
        # The batch size of scikit-learn's call is packed into it.
        can_be_halved = job.proposal.call is None and half >= 1
        ran_out = result.status is Status.INFEASIBLE and not result.breaks_constraint
        if not ran_out or not can_be_halved:
            return result

        forget_all()  # compiled steps hold the memory of the whole batch
        for path in job.folder.glob("attempt-*/fold-*"):  # one trial has one batch size
            path.unlink()
        write_json(halved, {"batch_size": half, "proposal_digest": job.proposal.digest})

    result = _train_or_classify(train, training.at_batch_size(half))
    notice = f"batch_size halved to {half} after running out of memory"
    return replace(result, batch_size=half, notices=(*result.notices, notice))


def _has_run_out_before(halved: Path, digest: str) -> bool:
    """Whether an earlier attempt at this trial ran out of memory at the whole batch.

    The file stands for it, whatever is left in it; but not that of another trial.
    """
    if not halved.exists():
        return False
    stored = read_json(halved)
    theirs = stored.get("proposal_digest") if isinstance(stored, dict) else ""
    return not (theirs and digest) or theirs == digest


def _train_or_classify(train: Train, training: Training) -> TrialResult:
    """Train; make a result of what goes wrong with this trial alone."""
    try:
        return within_limits(train, training)
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
    if is_full_disk(error, training.job.folder):
        raise StorageError(f"trial {number}: {first_line(error)}") from error

    if out_of_memory(error):
        training.context.retire()  # the allocator of this process is fragmented now
        message = without_secrets(f"out of memory: {first_line(error)}")
        return TrialResult(number, Status.INFEASIBLE, error=message)

    traceback.print_exc()  # whole, into the worker's log
    message = without_secrets(f"{type(error).__name__}: {first_line(error)}")
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

    digest = ""
    if searched_arguments(training.worker_study.study):
        digest = training.worker_study.parts.digest

    return replace(
        outcome,
        data_digest=digest,
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


def _with_usage(result: TrialResult, job: TrialJob, meter: Meter) -> TrialResult:
    """Add what this attempt and those before it have used."""
    samples = meter.samples
    usage = meter.usage.plus(used_before(job.folder, job.attempt))
    return replace(
        result,
        cpu_s=usage.cpu_s,
        gpu_s=usage.gpu_s,
        # On a CPU slot TensorFlow would look for devices only to be asked.
        gpu_mb=take_peak_mb() if devices_of(result.slot) else 0.0,
        samples=samples,
    )


def _remove_checkpoints_of_folds(folder: Path) -> None:
    """Remove what an interruption would have needed."""
    for path in folder.glob("attempt-*/fold-*.npz"):
        path.unlink()
