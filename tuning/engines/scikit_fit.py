"""What a worker does for a trial of a scikit-learn search: its `_fit_and_score`, fold by fold."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, NamedTuple

from tuning.data.packing import unpack
from tuning.engines.scikit_internals import Call, Scores, fit_and_score
from tuning.engines.scikit_search import arrays_of
from tuning.estimators.fit import Watch
from tuning.schema import JsonObject
from tuning.trainer.devices import strategy_scope
from tuning.trial import Context, FoldResult, TrialResult
from tuning.trials.advance import EpochReporter
from tuning.trials.earlier_attempts import folds_of_earlier_attempts, keep_fold
from tuning.trials.folds import FoldFit, summarise
from tuning.trials.held_out_score import score_test_part
from tuning.trials.jobs import TrialJob
from tuning.trials.judge import Judge, early_stopping
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

    results = folds_of_earlier_attempts(job.folder)
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
    study = worker_study.study
    fold = call.place.fold
    rows = worker_study.fold(fold)

    judge = Judge(
        study.objective,
        worker_study.parts.task,
        rows.scoring,
        rows.stopping,
        reporter.one_fold,
        threshold=study.threshold,
    )
    callbacks: list[Any] = [judge]
    stopper = None
    if study.patience is not None:
        stopper = early_stopping(judge, study.objective, study.patience)
        callbacks.append(stopper)

    # The estimator trains as ours do where it is given a watch.
    watch = Watch(
        scoring=rows.scoring,
        callbacks=callbacks,
        inner=worker_study.inner_rows_of_fold(fold),
        scope=strategy_scope(study.gpus_per_trial),
        fits=worker_study.n_fits,
    )
    call.estimator._watch = watch
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Scoring failed")
        returned = fit_and_score(call)

    reporter.check(judge.answer)
    assert watch.fit is not None  # noqa: S101 - the estimator has trained
    fit = FoldFit(fold=fold, fit=watch.fit, judge=judge, stopper=stopper)
    result = fit.result(worker_study, training.seed)
    return _Fitted(fit, replace(result, scores=_plain_scores(returned)))


def _plain_scores(returned: Scores) -> JsonObject:
    """Return of `_fit_and_score`'s dictionary what JSON can hold."""
    return {
        name: value
        for name, value in returned.items()
        if isinstance(value, int | float | str) or value is None
    }
