"""The fits of one trial: one model and what watches it for each, advanced one after another or in
lock-step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tuning.builders.build import build
from tuning.diagnosis.rules import diagnose, over_folds
from tuning.storage.durable import read_json
from tuning.trainer.devices import strategy_scope
from tuning.trainer.train import Fit
from tuning.trial import Context, EpochReport, Finding, FoldResult, Proposal, Status, TrialResult
from tuning.trials.checkpoint import Keeper, seconds_until
from tuning.trials.jobs import Stopped, TrialJob
from tuning.trials.judge import Judge, early_stopping
from tuning.trials.worker_study import FoldRows, WorkerStudy


@dataclass(eq=False)
class FoldFit:
    """One fit of a trial while it runs.

    Attributes:
        pruned_at: The epoch whose report was answered with "prune", where training had gone on
            beyond it.
    """

    fold: int
    fit: Fit
    judge: Judge
    stopper: keras.callbacks.EarlyStopping | None
    keeper: Keeper | None = None
    pruned_at: int | None = None

    def result(self, bench: WorkerStudy, seed: int) -> FoldResult:
        """Return what came of it."""
        curve = self.judge.curve
        row = self._kept_row() if curve else {}
        metrics = {key: value for key, value in row.items() if key.startswith("val_")}
        value = row.get(bench.study.objective.metric, float("nan"))
        epoch = int(row.get("epoch", 0))
        verdicts = self._diagnosed(bench, epoch)
        return FoldResult(
            self.fold,
            value,
            metrics,
            tuple(curve),
            best_epoch=epoch,
            seconds=self.judge.seconds,
            seed=seed,
            diagnosis=verdicts,
        )

    def _diagnosed(self, bench: WorkerStudy, kept: int) -> tuple[Finding, ...]:
        study, rows = bench.study, self.fit.validation
        if rows is None:
            return ()
        return diagnose(
            self.fit.model,
            self.judge.curve,
            rows,
            study.objective,
            task=bench.parts.task,
            kept=kept,
            budget=study.epochs,
        )

    def row_at(self, epoch: int) -> Mapping[str, float]:
        """Return the curve's row of an epoch, or its last where training ended before."""
        return next(
            (row for row in self.judge.curve if int(row["epoch"]) == epoch), self.judge.curve[-1]
        )

    def _kept_row(self) -> Mapping[str, float]:
        if (
            self.judge.verdict == "prune"
        ):  # its value is that of the epoch it was pruned at, as pruners compare them
            return self.judge.curve[-1] if self.pruned_at is None else self.row_at(self.pruned_at)
        return (
            self.judge.curve[-1]
            if self.stopper is None
            else self.row_at(self.stopper.best_epoch + 1)
        )


def prepare_fit(
    bench: WorkerStudy,
    params: Mapping[str, Any],
    epochs: int,
    rows: FoldRows,
    seed: int,
    *,
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
    stopper = (
        None if study.patience is None else early_stopping(judge, study.objective, study.patience)
    )
    fit = Fit(
        model,
        rows.train,
        validation=rows.scoring,
        epochs_total=epochs,
        fits=bench.n_fits,
        batch_size=settings["batch_size"],
        callbacks=[judge] if stopper is None else [judge, stopper],
        seed=seed,
        trainer=study.trainer,
    )
    return FoldFit(0, fit, judge, stopper)


def advance(item: FoldFit, reporter: EpochReporter) -> None:
    """Train one fit to its end.

    Raises:
        Stopped: The driver wants the slot back.
    """
    for row in (
        item.judge.curve
    ):  # of an earlier attempt: the driver may not be the one that heard of them
        if item.judge.verdict == "continue":
            item.judge.verdict = reporter.one_fold(row)
    if item.judge.verdict == "continue":
        for _ in item.fit.epochs():
            pass
    reporter.check(item.judge.verdict)


def advance_together(fits: list[FoldFit], reporter: EpochReporter) -> None:
    """Train one epoch of each fold in turn, report their mean, obey the verdict for all.

    Raises:
        Stopped: The driver wants the slot back.
    """
    if any(item.fit.reason for item in fits):
        fits[0].fit.notes.append(
            "model.fit cannot be advanced epoch by epoch: the folds were trained one by one"
        )
    running = {item.fold: item.fit.epochs() for item in fits}
    verdict, epoch = _report_again(fits, reporter)
    while running and verdict == "continue":
        reached = {fold: next(running[fold], None) for fold in list(running)}
        for fold in (fold for fold, epoch in reached.items() if epoch is None):
            del running[fold]
        if any(item.judge.diverged for item in fits):
            break
        if running:
            epoch = max(epoch for epoch in reached.values() if epoch is not None)
            verdict = reporter.mean_of(fits, epoch)
            _keep_together(fits, epoch, at_once=verdict == "stop")
    for generator in running.values():
        generator.close()
    for item in fits:
        item.judge.verdict, item.pruned_at = verdict, epoch if verdict == "prune" else None
    reporter.check(verdict)


def _report_again(fits: list[FoldFit], reporter: EpochReporter) -> tuple[str, int]:
    """Report the epochs of an earlier attempt; return the last verdict and its epoch."""
    epoch = 0
    for epoch in sorted({int(row["epoch"]) for item in fits for row in item.judge.curve}):
        verdict = reporter.mean_of(fits, epoch)
        if verdict != "continue":
            return verdict, epoch
    return "continue", epoch


def _keep_together(fits: list[FoldFit], epoch: int, *, at_once: bool) -> None:
    keepers = [item.keeper for item in fits if item.keeper is not None and not item.fit.reason]
    if keepers and (at_once or keepers[0].due):
        for item in fits:
            if item.keeper is not None:
                item.keeper.keep(epoch)


class EpochReporter:
    """Passes epochs to the driver."""

    def __init__(self, job: TrialJob, bench: WorkerStudy, context: Context, began: float) -> None:
        self._job, self._bench, self._context, self._began = job, bench, context, began

    def one_fold(self, row: Mapping[str, float], fits: int = 1) -> str:
        """Report an epoch of the only fit, or of one fold among several."""
        number, metric = self._job.proposal.number, self._bench.study.objective.metric
        seconds = time.perf_counter() - self._began
        return self._context.report(
            EpochReport(number, int(row["epoch"]), row[metric], row, seconds, fits)
        )

    def mean_of(self, fits: list[FoldFit], epoch: int) -> str:
        """Report the mean over folds at an epoch; a fold that has stopped earlier counts with its
        last.
        """
        rows = [item.row_at(epoch) for item in fits]
        means = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
        trained = sum(int(item.judge.curve[-1]["epoch"]) >= epoch for item in fits)
        return self.one_fold({**means, "epoch": epoch}, trained)

    def check(self, verdict: str) -> None:
        """Raise `Stopped` where the driver wants the slot back."""
        if verdict == "stop":
            raise Stopped(f"trial {self._job.proposal.number}")


def summarise(
    proposal: Proposal, folds: list[FoldResult], judges: list[Judge], notes: list[str]
) -> TrialResult:
    """Make one result of the fits of a trial: the value is the mean over folds."""
    if any(judge.diverged for judge in judges):
        status = Status.DIVERGED
    elif any(judge.verdict == "prune" for judge in judges):
        status = Status.PRUNED
    else:
        status = Status.COMPLETED
    ordered = tuple(sorted(folds, key=lambda fold: fold.fold))
    names = {name for fold in ordered for name in fold.metrics}
    means = {
        n: sum(f.metrics.get(n, math.nan) for f in ordered) / len(ordered) for n in sorted(names)
    }
    return TrialResult(
        proposal.number,
        status,
        value=None
        if status is Status.DIVERGED
        else sum(fold.value for fold in ordered) / len(ordered),
        metrics={} if status is Status.DIVERGED else means,
        folds=ordered,
        epochs=sum(len(fold.curve) for fold in ordered),
        notices=tuple(dict.fromkeys(notes)),
        diagnosis=over_folds([fold.diagnosis for fold in ordered]),
        error="loss or objective is not finite" if status is Status.DIVERGED else "",
        training_s=sum(fold.seconds for fold in ordered),
    )


def folds_of_earlier_attempts(folder: Path) -> list[FoldResult]:
    """Return the fits that were finished before the trial was interrupted."""
    found: dict[int, FoldResult] = {}
    for path in sorted(folder.glob("attempt-*/fold-*.json")):
        stored = read_json(path)
        if stored is not None:
            found[stored["fold"]] = FoldResult.from_json(stored)
    return list(found.values())


def trained_by_earlier_attempts(folder: Path) -> tuple[int, float]:
    """Return the epochs that an interrupted trial will not report again, and the seconds it need
    not train again.

    Fits that had ended are not reported again; one that goes on reports its earlier epochs once
    more.
    """
    ended = folds_of_earlier_attempts(folder)
    seconds = sum(fold.seconds for fold in ended)
    for fold in {
        int(path.stem.removeprefix("fold-")) for path in folder.glob("attempt-*/fold-*.npz")
    }:
        found = kept_by_earlier_attempts(folder, fold)
        if found is not None and fold not in {each.fold for each in ended}:
            seconds += seconds_until(found)
    return sum(len(fold.curve) for fold in ended), seconds


def kept_by_earlier_attempts(folder: Path, fold: int) -> Path | None:
    """Return the newest checkpoint of a fit."""
    found = folder.glob(f"attempt-*/fold-{fold}.npz")
    return max(found, key=lambda path: int(path.parent.name.removeprefix("attempt-")), default=None)
