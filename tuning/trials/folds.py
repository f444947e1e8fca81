"""The fits of one trial: one model and what watches it for each, and the result of them all."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from tuning.builders.callbacks import Callbacks, make_callbacks, restoring_stopper
from tuning.builders.hypermodel import Chosen, chosen_by
from tuning.builders.inputs.adapting import adapt_layers
from tuning.builders.own_fit import OwnFit
from tuning.diagnosis.diagnose import diagnose, over_folds
from tuning.errors import first_line
from tuning.scoring.answer_weights import weighed_by_class
from tuning.study.builder_arguments import SplitParams
from tuning.study.objective import others_asked
from tuning.study.study import Study
from tuning.trainer.keras_internals import compiled_metric_names
from tuning.trainer.train import Fit
from tuning.trial import Answer, Finding, FoldResult, Proposal, Status, TrialResult
from tuning.trials.checkpoint import Keeper, LastWeights
from tuning.trials.judge import Judge, OnEpoch, early_stopping
from tuning.trials.worker_study import FoldRows, WorkerStudy


@dataclass(frozen=True, eq=False, kw_only=True)
class Watchers:
    """Who watches a fit.

    Attributes:
        judge: Computes the objective, keeps the curve.
        users: What the study's `callbacks` has returned.
        stopper: The early stopping that decides on the weights kept: that of `patience`, else one
            of the user's.
    """

    judge: Judge
    users: Callbacks
    stopper: keras.callbacks.EarlyStopping | None

    def in_order(self, of_builder: Callbacks = ()) -> list[keras.callbacks.Callback]:
        """Return all of them as `fit` calls them: the judge first, whose figures others watch.

        Args:
            of_builder: What a `HyperModel` adds.
        """
        watchers = [self.judge, *self.users, *of_builder]
        if self.stopper is not None and self.stopper not in self.users:
            watchers.append(self.stopper)
        return watchers


def watch(
    worker_study: WorkerStudy,
    point: SplitParams,
    rows: FoldRows,
    *,
    epochs: int,
    folder: Path | None,
    on_epoch: OnEpoch | None = None,
    compiled: frozenset[str] = frozenset(),
) -> Watchers:
    """Make what watches a fit; see `prepare_fit` and `Judge` for the arguments."""
    study = worker_study.study
    judge = Judge(
        study.objective,
        worker_study.parts.task,
        rows.scoring,
        rows.stopping,
        on_epoch,
        compiled=compiled,
        threshold=study.threshold,
        also=others_asked(study),
    )
    users = make_callbacks(study, point, epochs=epochs, n_rows=len(rows.train), folder=folder)
    if point.patience is None or not rows.stops_early:
        stopper = restoring_stopper(users)
    else:
        stopper = early_stopping(judge, study.objective, point.patience)
    return Watchers(judge=judge, users=users, stopper=stopper)


@dataclass(eq=False, kw_only=True)
class FoldFit:
    """One fit of a trial while it runs.

    Attributes:
        fold: Its number, from 0.
        fit: The training itself.
        judge: Computes the objective, keeps the curve.
        stopper: Early stopping, where the study has patience.
        budget: Epochs of a whole trial of these parameters.
        callbacks: The user's own.
        rows: What it is trained, stopped and scored on, as its model wants them.
        keeper: Keeps the progress for a later attempt; None where nothing is kept.
        last_weights: Where the optimizer averages them and the end is kept for another trial.
        pruned_at: The epoch whose report was answered with "prune", where training had gone on
            beyond it.
    """

    fold: int
    fit: Fit
    judge: Judge
    stopper: keras.callbacks.EarlyStopping | None
    rows: FoldRows
    budget: int
    callbacks: Callbacks = ()
    keeper: Keeper | None = None
    last_weights: LastWeights | None = None
    pruned_at: int | None = None

    def keep_in(self, path: Path, *, alone: bool, digest: str) -> None:
        """Have the progress kept in a file; the arguments are those of `Keeper`.

        To be called last: it keeps what early stopping has made of the epoch. Nothing is kept of a
        user's own loop, which cannot be told where to go on.
        """
        if isinstance(self.fit, OwnFit):
            return
        self.keeper = Keeper(path, self.judge, self.stopper, self.fit, alone=alone, digest=digest)
        self.keeper.callbacks = [each for each in self.callbacks if each is not self.stopper]
        self.fit.callbacks = [*self.fit.callbacks, self.keeper]

    def take_up(self, checkpoint: Path, source: str) -> None:
        """Go on from what an earlier attempt has kept; where that cannot be used, say so.

        Args:
            checkpoint: The file.
            source: Whose it is, in a word.
        """
        if self.keeper is None:
            return
        fit = self.fit
        try:
            self.keeper.resume(checkpoint, fit.model)
        except ValueError as error:
            fit.notes.append(f"the checkpoint of {source} was not used: {first_line(error)}")
            return

        # Counted from the first attempt's start, XLA pays or does not pay as it did there: the
        # figures stay the same to the last bit.
        fit.began_at = fit.initial_epoch
        fit.initial_epoch = self.keeper.resumed_from
        fit.notes.append(f"taken up at epoch {self.keeper.resumed_from}")
        if fit.reason:
            fit.notes.append("model.fit draws another order of rows after an interruption")

    def train(self) -> None:
        """Train to the end, whatever ends it."""
        for _ in self.fit.epochs():
            pass

    @property
    def has_ended(self) -> bool:
        """Whether no epoch is left: all are trained, or early stopping wants no more."""
        stopped_early = self.stopper is not None and self.stopper.stopped_epoch > 0
        return stopped_early or self.last_epoch >= self.fit.epochs_total

    def result(self, worker_study: WorkerStudy, seed: int) -> FoldResult:
        """Return what came of it."""
        curve = self.judge.curve
        row = {**self._row_of_weights(), **self._returned} if curve else {}
        best_epoch = int(row.get("epoch", 0))

        return FoldResult(
            fold=self.fold,
            value=row.get(worker_study.study.objective.metric, math.nan),
            metrics={name: value for name, value in row.items() if name.startswith("val_")},
            curve=tuple(curve),
            best_epoch=best_epoch,
            seconds=self.judge.seconds,
            seed=seed,
            diagnosis=self._diagnosis(worker_study, best_epoch),
        )

    @property
    def last_epoch(self) -> int:
        """The last epoch of its curve."""
        return int(self.judge.curve[-1]["epoch"])

    def row_at(self, epoch: int) -> Mapping[str, float]:
        """Return the curve's row of an epoch, or its last where training ended before."""
        curve = self.judge.curve
        return next((row for row in curve if int(row["epoch"]) == epoch), curve[-1])

    @property
    def _returned(self) -> Mapping[str, float]:
        """What a `fit` of the user's own has returned in the place of its weights' figures."""
        return self.fit.returned if isinstance(self.fit, OwnFit) else {}

    def _row_of_weights(self) -> Mapping[str, float]:
        """Return the curve's row that the fit is judged by."""
        # A pruned fit has the value of the epoch it was pruned at: pruners compare these.
        if self.judge.answer is Answer.PRUNE:
            if self.pruned_at is not None:
                return self.row_at(self.pruned_at)
        # One that has seen nothing yet (`start_from_epoch`, another metric) restores no weights.
        elif self.stopper is not None and self.stopper.best_weights is not None:
            # Keras counts epochs from 0, a curve from 1.
            return self.row_at(self.stopper.best_epoch + 1)
        return self.judge.curve[-1]

    def _diagnosis(self, worker_study: WorkerStudy, best_epoch: int) -> tuple[Finding, ...]:
        if self.fit.validation is None:
            return ()

        return diagnose(
            self.fit.model,
            self.judge.curve,
            self.fit.validation,
            worker_study.study.objective,
            task=worker_study.parts.task,
            best_epoch=best_epoch,
            budget=self.budget,
        )


def prepare_fit(
    worker_study: WorkerStudy,
    point: SplitParams,
    rows: FoldRows,
    *,
    epochs: int,
    seed: int,
    on_epoch: OnEpoch | None = None,
    folder: Path | None = None,
) -> FoldFit:
    """Build the model of a point and everything around its training; nothing is trained yet.

    Args:
        worker_study: The study and its data.
        point: Builder arguments and fit settings (`Study.split_params`).
        rows: What it is trained, stopped and scored on.
        epochs: Epochs in all.
        seed: Of weights, order of rows, dropout.
        on_epoch: Given each row of the curve.
        folder: For what the user's callbacks write.
    """
    study = worker_study.study
    model = worker_study.model_at(point, seed)
    rows = rows.for_model(model)
    adapted = adapt_layers(model, rows.train.X)

    weighed = weighed_by_class(
        rows.train,
        point.class_weight,
        task=worker_study.parts.task,
        one_hot=[name for name, form in rows.plan.targets if form == "one-hot"],
        classes=worker_study.parts.classes,
    )
    usual = Chosen(rows=weighed.rows, epochs=epochs, batch_size=point.batch_size)
    own_fit = getattr(study.space, "own_fit", "")
    chosen = chosen_by(study.builder, model, usual, rows.scoring, own_fit=own_fit)
    watchers = watch(
        worker_study,
        point,
        rows,
        epochs=epochs,
        folder=folder,
        on_epoch=on_epoch,
        # What a loop of the user's own tells of them is not known before.
        compiled=frozenset() if chosen.own_fit else compiled_metric_names(model),
    )

    fit = _kind_of_fit(study, chosen, watchers.judge)(
        model,
        chosen.rows,
        validation=rows.scoring,
        epochs_total=chosen.epochs,
        fits=worker_study.n_fits,
        batch_size=chosen.batch_size,
        callbacks=watchers.in_order(chosen.callbacks),
        class_weight=(weighed.class_weight if chosen.class_weight is None else chosen.class_weight),
        shuffle=chosen.shuffle,
        seed=seed,
        trainer=study.trainer,
    )
    of_adapted = f"adapted on the training rows: {', '.join(adapted)}" if adapted else ""
    notes = (*getattr(study.builder, "notices", ()), *chosen.notes, rows.words, of_adapted)
    fit.notes.extend(filter(None, notes))
    return FoldFit(
        fold=0,
        fit=fit,
        judge=watchers.judge,
        stopper=watchers.stopper,
        rows=rows,
        budget=point.epochs,
        callbacks=(*watchers.users, *chosen.callbacks),
    )


def _kind_of_fit(study: Study, chosen: Chosen, judge: Judge) -> Callable[..., Fit]:
    if not chosen.own_fit:
        return Fit
    return functools.partial(
        OwnFit,
        carry_out=study.builder.own_fit,  # type: ignore[attr-defined]
        why=chosen.own_fit,
        name=f"{study.builder.__name__}.fit",
        judge=judge,
        objective=study.objective,
    )


def summarise(
    proposal: Proposal, results: Sequence[FoldResult], fits: Sequence[FoldFit]
) -> TrialResult:
    """Make one result of the fits of a trial: the value is the mean over folds.

    Args:
        proposal: What was trained.
        results: Of all fits, those of earlier attempts included.
        fits: Those that this attempt has trained.
    """
    folds = tuple(sorted(results, key=lambda result: result.fold))
    notices = [notice for item in fits for notice in item.fit.notes]

    status = Status.COMPLETED
    value: float | None = sum(fold.value for fold in folds) / len(folds)
    metrics = _mean_metrics(folds)
    error = ""
    if any(item.judge.diverged for item in fits):
        status = Status.DIVERGED
        value = None
        metrics = {}
        error = "loss or objective is not finite"
    elif any(item.judge.answer is Answer.PRUNE for item in fits):
        status = Status.PRUNED

    return TrialResult(
        number=proposal.number,
        status=status,
        value=value,
        metrics=metrics,
        folds=folds,
        epochs=sum(len(fold.curve) for fold in folds),
        error=error,
        notices=tuple(dict.fromkeys(notices)),  # most folds say the same
        diagnosis=over_folds([fold.diagnosis for fold in folds]),
        training_s=sum(fold.seconds for fold in folds),
    )


def _mean_metrics(folds: Sequence[FoldResult]) -> dict[str, float]:
    names = sorted({name for fold in folds for name in fold.metrics})
    return {
        name: sum(fold.metrics.get(name, math.nan) for fold in folds) / len(folds) for name in names
    }
