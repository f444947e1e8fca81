"""What a worker does for a trial of a scikit-learn search: its own `_fit_and_score`, fold after
fold, watched.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from tuning.data.packing import unpack
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
    """Train one candidate of a scikit-learn search, all its folds, and keep the result in its
    folder.

    Raises:
        TuningError: The study, its data or the disk.
        Stopped: The driver said "stop"; nothing is decided about the trial.
    """
    return carry_out(_train, job, context)


def _train(job: TrialJob, bench: WorkerStudy, seed: int, context: Context) -> TrialResult:
    assert job.proposal.call is not None  # noqa: S101 - the engine has packed it
    known = arrays_of(bench.parts, bench.study.cv)
    fits = unpack(job.proposal.call, lambda name: known[name])
    results = folds_of_earlier_attempts(job.folder)
    done = {fold.fold for fold in results}
    reporter = EpochReporter(job, bench, context, time.perf_counter())
    fits_done: list[FoldFit] = []
    for args, kwargs in fits:
        fold = kwargs["split_progress"][0]
        if fold in done:
            continue
        watched, result = _fit(bench, args, kwargs, reporter, seed)
        results.append(result)
        fits_done.append(watched)
        if watched.judge.diverged:
            break
        if len(fits) > 1:
            write_json(job.folder / f"attempt-{job.attempt}" / f"fold-{fold}.json", asdict(result))
    if job.score_test:
        score_test_part(job.folder, bench, fits_done)
    notes = [note for item in fits_done for note in item.fit.notes]
    return summarise(job.proposal, results, [item.judge for item in fits_done], notes)


def _fit(
    bench: WorkerStudy,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    reporter: EpochReporter,
    seed: int,
) -> tuple[FoldFit, FoldResult]:
    """Run one `_fit_and_score` as scikit-learn would; what it returns goes into the fold's
    `scores`.
    """
    from sklearn.model_selection._validation import _fit_and_score

    study, fold = bench.study, kwargs["split_progress"][0]
    rows = bench.fold(fold)
    judge = Judge(study.objective, bench.parts.task, rows.scoring, rows.stopping, reporter.one_fold)
    stopper = (
        None if study.patience is None else early_stopping(judge, study.objective, study.patience)
    )
    watch = Watch(
        rows.scoring,
        [judge] if stopper is None else [judge, stopper],
        derive_seed(study.seed, "inner"),
        hold_out=study.patience is not None and study.cv is not None,
        scope=strategy_scope(study.gpus_per_trial),
        fits=bench.n_fits,
    )
    args[0]._watch = watch
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Scoring failed")
        returned = _fit_and_score(
            *args, **{**kwargs, "error_score": "raise"}
        )  # who failed, and how, is for the ledger
    reporter.check(judge.verdict)
    assert watch.fit is not None  # noqa: S101 - the estimator has trained
    watched = FoldFit(fold, watch.fit, judge, stopper)
    plain = {
        name: value
        for name, value in returned.items()
        if isinstance(value, int | float | str) or value is None
    }
    return watched, replace(watched.result(bench, seed), scores=plain)
