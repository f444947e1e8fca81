"""One proposal in, one result out: what a worker does for a trial."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import keras
import psutil
import tensorflow as tf

from tuning.builders.build import build
from tuning.durable import read_json, write_json
from tuning.errors import StorageError
from tuning.results import keep_result
from tuning.study import derive_seed
from tuning.training.callbacks import Judge, early_stopping
from tuning.training.checkpoint import load_checkpoint, save_checkpoint
from tuning.training.devices import strategy_scope
from tuning.training.jobs import TrialJob
from tuning.training.trainer import Fit
from tuning.training.workbench import FoldRows, Workbench, workbench
from tuning.trial import Context, EpochReport, FoldResult, Proposal, Status, TrialResult

Train: TypeAlias = "Callable[[TrialJob, Workbench, int, Context], TrialResult]"


@dataclass(eq=False)
class FoldFit:
    """One fit of a trial while it runs."""

    fold: int
    fit: Fit
    judge: Judge
    stopper: keras.callbacks.EarlyStopping | None

    def result(self, bench: Workbench, seed: int) -> FoldResult:
        """Return what came of it."""
        curve = self.judge.curve
        best = len(curve) - 1 if self.stopper is None else self._best_row()
        row = curve[best] if curve else {}
        metrics = {key: value for key, value in row.items() if key.startswith("val_")}
        value = row.get(bench.study.objective.metric, float("nan"))
        epoch = int(row.get("epoch", 0))
        return FoldResult(self.fold, value, metrics, tuple(curve), epoch, self.judge.seconds, seed)

    def _best_row(self) -> int:
        assert self.stopper is not None  # noqa: S101
        epochs = [int(row["epoch"]) for row in self.judge.curve]
        return epochs.index(self.stopper.best_epoch + 1) if self.stopper.best_epoch + 1 in epochs else len(epochs) - 1


def run_trial(job: TrialJob, context: Context) -> TrialResult:
    """Train one trial and keep its result in its folder; the function of a trial's `Job`.

    Errors in the builder or in training make a FAILED result, memory that runs out an INFEASIBLE one.

    Raises:
        TuningError: The study, its data or the disk: these end the run, not the trial.
        Stopped: The driver said "stop"; nothing is decided about the trial.
    """
    return carry_out(_train, job, context)


def carry_out(train: Train, job: TrialJob, context: Context) -> TrialResult:
    """Do what `run_trial` promises around `train`, which makes the result of a trial that goes well."""
    began = time.time()
    clock = time.perf_counter()
    bench = workbench(job.source, job.overrides)
    seed = derive_seed(bench.study.seed, "training")
    result = _guarded(train, job, bench, seed, context)
    result = replace(
        result,
        attempt=job.attempt, seed=seed, slot=context.slot, started_at=began, ended_at=time.time(),
        seconds=time.perf_counter() - clock, rss_mb=psutil.Process().memory_info().rss / 2**20,
    )  # fmt: skip
    keep_result(job.folder, result)
    return result


class Stopped(Exception):
    """The driver wants the slot back; the trial stays open."""


def _guarded(train: Train, job: TrialJob, bench: Workbench, seed: int, context: Context) -> TrialResult:
    """Train; turn what goes wrong with this trial alone into its result."""
    number = job.proposal.number
    try:
        return train(job, bench, seed, context)
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        context.retire()  # the allocator of this process is fragmented now
        return TrialResult(number, Status.INFEASIBLE, error=f"out of memory: {first_line(error)}")
    except (Stopped, StorageError):
        raise
    except Exception as error:  # whatever a builder or Keras raises is this trial's own fault
        traceback.print_exc()  # whole, into the worker's log
        return TrialResult(number, Status.FAILED, error=f"{type(error).__name__}: {first_line(error)}")


def _train(job: TrialJob, bench: Workbench, seed: int, context: Context) -> TrialResult:
    began = time.perf_counter()
    kept = [] if job.lockstep else folds_of_earlier_attempts(job.folder)
    done = {fold.fold for fold in kept}
    reporter = EpochReporter(job, bench, context, began)
    fits = [_prepare(job, bench, fold, seed, reporter) for fold in range(bench.n_fits) if fold not in done]
    if job.lockstep:
        _advance_together(fits, reporter)
    results = list(kept)
    for item in fits:
        if not job.lockstep:
            _advance(item, reporter)
        results.append(item.result(bench, seed))
        if job.keep_end:
            save_checkpoint(job.folder / f"end-{item.fold}.npz", item.fit.model, int(item.judge.curve[-1]["epoch"]))
        if bench.n_fits > 1 and not job.lockstep:
            write_json(job.folder / f"attempt-{job.attempt}" / f"fold-{item.fold}.json", asdict(results[-1]))
        if item.judge.diverged:
            break
    return summarise(job.proposal, results, [item.judge for item in fits], [n for i in fits for n in i.fit.notes])


def summarise(proposal: Proposal, folds: list[FoldResult], judges: list[Judge], notes: list[str]) -> TrialResult:
    """Make one result of the fits of a trial: the value is the mean over folds."""
    if any(judge.diverged for judge in judges):
        status = Status.DIVERGED
    elif any(judge.verdict == "prune" for judge in judges):
        status = Status.PRUNED
    else:
        status = Status.COMPLETED
    ordered = tuple(sorted(folds, key=lambda fold: fold.fold))
    names = {name for fold in ordered for name in fold.metrics}
    means = {n: sum(f.metrics.get(n, math.nan) for f in ordered) / len(ordered) for n in sorted(names)}
    return TrialResult(
        proposal.number,
        status,
        value=None if status is Status.DIVERGED else sum(fold.value for fold in ordered) / len(ordered),
        metrics={} if status is Status.DIVERGED else means,
        folds=ordered,
        epochs=sum(len(fold.curve) for fold in ordered),
        notes=tuple(dict.fromkeys(notes)),
        error="loss or objective is not finite" if status is Status.DIVERGED else "",
        training_s=sum(fold.seconds for fold in ordered),
    )


def _prepare(job: TrialJob, bench: Workbench, fold: int, seed: int, reporter: EpochReporter) -> FoldFit:
    """Build the model of one fit, continue its parent where it has one, and set up what watches it."""
    proposal, rows = job.proposal, bench.fold(fold)
    on_epoch = None if job.lockstep else reporter.one_fold
    item = prepare_fit(bench, proposal.params, proposal.epochs, rows, seed, on_epoch)
    item.fold = fold
    if job.parent is not None:
        checkpoint = job.parent / f"end-{fold}.npz"
        if checkpoint.exists():
            item.fit.initial_epoch = load_checkpoint(checkpoint, item.fit.model)
        else:
            item.fit.notes.append(f"the checkpoint of trial {proposal.parent} is gone: trained from epoch 0")
    return item


def prepare_fit(
    bench: Workbench,
    params: Mapping[str, Any],
    epochs: int,
    rows: FoldRows,
    seed: int,
    on_epoch: Callable[[Mapping[str, float]], str] | None = None,
) -> FoldFit:
    """Build the model of `params` and everything around its training; nothing is trained yet.

    Args:
        bench: The study and its data.
        params: A point of the space.
        epochs: Epochs in all.
        rows: What it is trained, stopped and scored on.
        seed: Of weights, order of rows, dropout.
        on_epoch: Given each row of the curve; answers "continue", "prune" or "stop".
    """
    study = bench.study
    arguments, settings = study.split_params(params)
    arguments = {**bench.builder_arguments, **arguments}
    with strategy_scope(study.gpus_per_trial):
        model = build(study.builder, arguments, seed, input_shape=bench.parts.input_shape)
    judge = Judge(study.objective, bench.parts.task, rows.scoring, rows.stopping, on_epoch)
    stopper = None if study.patience is None else early_stopping(judge, study.objective, study.patience)
    fit = Fit(
        model, rows.train, validation=rows.scoring, epochs_total=epochs, batch_size=settings["batch_size"],
        callbacks=[judge] if stopper is None else [judge, stopper], seed=seed, trainer=study.trainer,
    )  # fmt: skip
    return FoldFit(0, fit, judge, stopper)


def _advance(item: FoldFit, reporter: EpochReporter) -> None:
    for _ in item.fit.epochs():
        pass
    reporter.check(item.judge.verdict)


def _advance_together(fits: list[FoldFit], reporter: EpochReporter) -> None:
    """Train one epoch of each fold in turn, report their mean, obey the verdict for all."""
    running = {item.fold: item.fit.epochs() for item in fits}
    while running:
        for fold in list(running):
            if next(running[fold], None) is None:
                del running[fold]
        if any(item.judge.diverged for item in fits):
            break
        verdict = reporter.mean_of(fits) if running else "continue"
        if verdict != "continue":
            for item in fits:
                item.judge.verdict = verdict
            break
    for generator in running.values():
        generator.close()
    reporter.check(fits[0].judge.verdict)


class EpochReporter:
    """Passes epochs to the driver."""

    def __init__(self, job: TrialJob, bench: Workbench, context: Context, began: float) -> None:
        self._job, self._bench, self._context, self._began = job, bench, context, began

    def one_fold(self, row: Mapping[str, float]) -> str:
        """Report an epoch of the only fit, or of one fold among several."""
        number, metric = self._job.proposal.number, self._bench.study.objective.metric
        seconds = time.perf_counter() - self._began
        return self._context.report(EpochReport(number, int(row["epoch"]), row[metric], row, seconds))

    def mean_of(self, fits: list[FoldFit]) -> str:
        """Report the mean over folds; a fold that has stopped early counts with its last epoch."""
        rows = [item.judge.curve[-1] for item in fits]
        return self.one_fold({key: sum(row[key] for row in rows) / len(rows) for key in rows[0]})

    def check(self, verdict: str) -> None:
        """Raise `Stopped` where the driver wants the slot back."""
        if verdict == "stop":
            raise Stopped(f"trial {self._job.proposal.number}")


def folds_of_earlier_attempts(folder: Path) -> list[FoldResult]:
    """Return the fits that were finished before the trial was interrupted."""
    found: dict[int, FoldResult] = {}
    for path in sorted(folder.glob("attempt-*/fold-*.json")):
        stored = read_json(path)
        if stored is not None:
            found[stored["fold"]] = FoldResult.from_json(stored)
    return list(found.values())


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, at most 300 characters."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:300]
