"""What a worker does for a trial of a scikit-learn search: its `_fit_and_score`, fold by fold."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, NamedTuple

from tuning.builders.fold_rows import FoldRows
from tuning.data.arrays import only
from tuning.data.packing import unpack
from tuning.engines.scikit_internals import Call, Scores, fit_and_score
from tuning.engines.scikit_search import arrays_of
from tuning.estimators.fit import Watch, Watched
from tuning.schema import JsonObject
from tuning.scoring.class_weights import class_weights
from tuning.study.builder_arguments import names_of_callbacks, names_taken
from tuning.trainer.devices import strategy_scope
from tuning.trainer.keras_internals import compiled_metric_names
from tuning.trial import Context, FoldResult, Params, TrialResult
from tuning.trials.advance import EpochReporter
from tuning.trials.earlier_attempts import (
    callbacks_folder,
    folds_of_earlier_attempts,
    keep_fold,
)
from tuning.trials.folds import FoldFit, Watchers, summarise, watch
from tuning.trials.held_out_score import score_test_part
from tuning.trials.jobs import TrialJob
from tuning.trials.training import Training
from tuning.trials.trial import carry_out


def run_call(job: TrialJob, context: Context) -> TrialResult:
    """Train one candidate of a scikit-learn search, all its folds, and keep the result.

    Raises:
        TuningError: The study, its data or the disk.
        Stopped: The driver said "stop"; nothing is decided about the trial.
    """
    return carry_out(_train, job, context)


def _train(training: Training) -> TrialResult:
    job = training.job
    worker_study = training.worker_study
    assert job.proposal.call is not None  # noqa: S101 - the engine has packed it
    arrays = arrays_of(worker_study.parts, worker_study.study.cv)
    calls = [Call(*packed) for packed in unpack(job.proposal.call, lambda name: arrays[name])]

    results = folds_of_earlier_attempts(job.folder, job.proposal.digest)
    finished = {result.fold for result in results}
    reporter = EpochReporter(training)
    fits: list[FoldFit] = []
    for call in calls:
        if call.place.fold in finished:
            continue
        fit, result = _fit(training, call, reporter)
        fits.append(fit)
        results.append(result)
        if fit.judge.diverged:
            break
        if len(calls) > 1:
            keep_fold(job, result)

    if job.score_test:
        score_test_part(job.folder, worker_study, fits)
    return summarise(job.proposal, results, fits)


class _Fitted(NamedTuple):
    """One fold, trained."""

    fit: FoldFit
    result: FoldResult


def _fit(training: Training, call: Call, reporter: EpochReporter) -> _Fitted:
    """Run one `_fit_and_score`; what it returns goes into the fold's `scores`."""
    worker_study = training.worker_study
    fold = call.place.fold
    seed = training.seed_of(fold)
    seen: list[tuple[Watchers, FoldRows]] = []
    estimator_watch = _watch(training, fold, reporter, seen)
    call.estimator._watch = estimator_watch
    call.estimator.set_params(random_state=seed)
    call = call._replace(kwargs={**call.kwargs, "parameters": _of_estimator(call, training)})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Scoring failed")
        returned = fit_and_score(call)

    assert estimator_watch.fit is not None  # noqa: S101 - the estimator has trained
    watchers, rows = seen[-1]
    reporter.check(watchers.judge.answer)
    fit = FoldFit(
        fold=fold,
        fit=estimator_watch.fit,
        judge=watchers.judge,
        stopper=watchers.stopper,
        budget=training.point.epochs,
        callbacks=watchers.users,
        rows=rows,
    )
    result = fit.result(worker_study, seed)
    return _Fitted(fit, replace(result, scores=_plain_scores(returned)))


def _watch(
    training: Training,
    fold: int,
    reporter: EpochReporter,
    seen: list[tuple[Watchers, FoldRows]],
) -> Watch:
    """Return what makes the estimator train as our own trials do.

    What watches its model, and the rows as that wants them, are added to `seen`.
    """
    worker_study = training.worker_study

    def watched_by(model: Any) -> Watched:
        rows = worker_study.rows_of_fit(fold).for_model(model)
        watchers = watch(
            worker_study,
            training.point,
            rows,
            epochs=training.job.proposal.epochs,
            folder=callbacks_folder(training.job, fold),
            on_epoch=reporter.one_fold,
            compiled=compiled_metric_names(model),
        )
        seen.append((watchers, rows))
        return Watched(rows.scoring, watchers.in_order())

    train = worker_study.rows_of_fit(fold).train
    return Watch(
        watched_by=watched_by,
        class_weight=class_weights(
            training.point.class_weight, train.y, worker_study.parts.classes
        ),
        inner=worker_study.inner_rows_of_fold(fold % worker_study.n_folds),
        weight=None if train.weight is None else only(train.weight),
        scope=strategy_scope(worker_study.study.gpus_per_trial),
        fits=worker_study.n_fits,
    )


def _of_estimator(call: Call, training: Training) -> Params:
    """Return a candidate's parameters without those that the watch or callbacks alone take."""
    study = training.worker_study.study
    taken = names_taken(study.builder)
    to_watch = {"patience", "class_weight", *names_of_callbacks(study).names}
    to_estimator = {"batch_size", "epochs"}
    return {
        name: value
        for name, value in call.parameters.items()
        if name not in to_watch or name in to_estimator or taken.takes(name)
    }


def _plain_scores(returned: Scores) -> JsonObject:
    """Return of `_fit_and_score`'s dictionary what JSON can hold."""
    return {
        name: value
        for name, value in returned.items()
        if isinstance(value, int | float | str) or value is None
    }
