"""What a worker does for a trial of a scikit-learn search: its own `_fit_and_score`, fold after fold, watched."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, replace
from typing import NamedTuple

from tuning.data.packing import unpack
from tuning.engines.scikit_internals import Call, fit_and_score
from tuning.engines.scikit_search import arrays_of
from tuning.estimators.fit import Watch
from tuning.storage.durable import write_json
from tuning.study.study import derive_seed
from tuning.trainer.devices import strategy_scope
from tuning.trial import Context, FoldResult, TrialResult
from tuning.trials.folds import EpochReporter, FoldFit, folds_of_earlier_attempts, summarise
from tuning.trials.held_out_score import score_test_part
from tuning.trials.jobs import TrialJob
from tuning.trials.judge import Judge, early_stopping
from tuning.trials.trial import carry_out
from tuning.trials.worker_study import WorkerStudy


def run_call(job: TrialJob, context: Context) -> TrialResult:
    """Train one candidate of a scikit-learn search, all its folds, and keep the result in its folder.

    Raises:
        TuningError: The study, its data or the disk.
        Stopped: The driver said "stop"; nothing is decided about the trial.
    """
    return carry_out(_train, job, context)


def _train(job: TrialJob, bench: WorkerStudy, seed: int, context: Context) -> TrialResult:
    assert job.proposal.call is not None  # noqa: S101 - the engine has packed it
    arrays = arrays_of(bench.parts, bench.study.cv)
    calls = [Call(*packed) for packed in unpack(job.proposal.call, lambda name: arrays[name])]

    results = folds_of_earlier_attempts(job.folder)
    folds_done = {result.fold for result in results}
    reporter = EpochReporter(job, bench, context, time.perf_counter())
    fits: list[FoldFit] = []
    for call in calls:
        fold = call.place.fold
        if fold in folds_done:
            continue
        fit, result = _fit(bench, call, reporter, seed)
        results.append(result)
        fits.append(fit)
        if fit.judge.diverged:
            break
        if len(calls) > 1:
            write_json(job.folder / f"attempt-{job.attempt}" / f"fold-{fold}.json", asdict(result))

    if job.score_test:
        score_test_part(job.folder, bench, fits)
    notes = [note for fit in fits for note in fit.fit.notes]
    return summarise(job.proposal, results, [fit.judge for fit in fits], notes)


class _Fitted(NamedTuple):
    """One fold, trained."""

    fit: FoldFit
    result: FoldResult


def _fit(bench: WorkerStudy, call: Call, reporter: EpochReporter, seed: int) -> _Fitted:
    """Run one `_fit_and_score`; what it returns goes into the fold's `scores`."""
    study = bench.study
    fold = call.place.fold
    rows = bench.fold(fold)
    judge = Judge(study.objective, bench.parts.task, rows.scoring, rows.stopping, reporter.one_fold)
    callbacks = [judge]
    stopper = None
    if study.patience is not None:
        stopper = early_stopping(judge, study.objective, study.patience)
        callbacks.append(stopper)

    # The estimator trains as ours do where it is given a watch.
    watch = Watch(
        rows.scoring,
        callbacks,
        derive_seed(study.seed, "inner"),
        hold_out=study.patience is not None and study.cv is not None,
        scope=strategy_scope(study.gpus_per_trial),
        fits=bench.n_fits,
    )
    call.estimator._watch = watch
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Scoring failed")
        returned = fit_and_score(call)
    reporter.check(judge.verdict)
    assert watch.fit is not None  # noqa: S101 - the estimator has trained

    fit = FoldFit(fold, watch.fit, judge, stopper)
    scores = {
        name: value
        for name, value in returned.items()
        if isinstance(value, int | float | str) or value is None
    }
    return _Fitted(fit, replace(fit.result(bench, seed), scores=scores))
