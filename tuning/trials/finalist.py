"""Finalists: the parameters of one of the best trials, trained again on a fresh seed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tuning.ledger.records import write_record
from tuning.ledger.winner import FinalistOutcome
from tuning.study.foreign.foreign_builder import trial_of
from tuning.study.objective import others_asked
from tuning.study.study import derive_seed
from tuning.trial import Answer, Context, EpochReport, FoldResult
from tuning.trials.checkpoint import save_checkpoint
from tuning.trials.folds import FoldFit, prepare_fit
from tuning.trials.functions import function_finalist
from tuning.trials.jobs import ALL_ROWS, FinalistJob, Stopped, weights_owner
from tuning.trials.training import measured
from tuning.trials.usage.meter import Stopwatch
from tuning.trials.worker_study import FoldRows, WorkerStudy, load_worker_study


def train_finalist(job: FinalistJob, context: Context) -> FinalistOutcome:
    """Train parameters on a fresh seed; keep the outcome and, where it may win, the weights.

    Raises:
        TuningError: The study, its data or the disk.
        Stopped: The driver wants the slot back.
    """
    started_at = time.time()
    stopwatch = Stopwatch(context.slot)
    loaded = load_worker_study(job.source, job.overrides, job.pinned)
    worker_study = loaded.for_params(job.params, job.data_digest)
    study = worker_study.study
    seed = derive_seed(study.seed, "finalist", job.index)
    if study.trainer == "function":
        return function_finalist(study, job, seed, context.slot)

    with trial_of(study.builder, job.number):
        fits = _train(job, worker_study, seed, context)
    results = [item.result(worker_study, seed) for item in fits]

    value = None
    if not any(item.judge.diverged for item in fits):
        value = float(np.mean([result.value for result in results]))

    weights = ""
    # Only these have seen all rows that a winner is trained on.
    if study.cv is None or job.fold == ALL_ROWS:
        weights = job.file.with_suffix(".npz").name
        save_checkpoint(
            job.file.with_name(weights),
            fits[0].fit.model,
            results[0].best_epoch,
            weights_owner(job.digest, job.index),
        )

    figures: dict[str, float] = {}
    if value is not None and (study.objectives or study.constraints):
        figures = {study.objective.metric: value, **_figures(worker_study, job, seed, results)}

    ended_at = time.time()
    usage = stopwatch.usage
    outcome = FinalistOutcome(
        number=job.number,
        index=job.index,
        digest=job.digest,
        seed=seed,
        value=value,
        epochs=results[0].best_epoch,
        weights=weights or None,
        training_s=sum(result.seconds for result in results),
        seconds=ended_at - started_at,
        slot=context.slot,
        started_at=started_at,
        ended_at=ended_at,
        figures=figures,
        cpu_s=usage.cpu_s,
        gpu_s=usage.gpu_s,
    )
    write_record(job.file, outcome)
    # In this order: until the outcome is there, an interruption needs them.
    for path in job.file.parent.glob(f"{job.file.stem}.kept-*"):
        path.unlink()
    return outcome


def _figures(
    worker_study: WorkerStudy, job: FinalistJob, seed: int, results: Sequence[FoldResult]
) -> dict[str, float]:
    """Return the model's figures and the other metrics that the study asks for."""
    study = worker_study.study
    figures = measured(worker_study, study.split_params(job.params), seed)
    for other in others_asked(study):
        figures[other.metric] = float(np.mean([each.metrics[other.metric] for each in results]))
    return figures


def _train(
    job: FinalistJob, worker_study: WorkerStudy, seed: int, context: Context
) -> list[FoldFit]:
    """Train one model for each part of the rows that the job asks for."""
    metric = worker_study.study.objective.metric

    def on_epoch(row: Mapping[str, float]) -> Answer:
        report = EpochReport(
            number=job.number,
            epoch=int(row["epoch"]),
            value=row[metric],
            metrics=row,
            seconds=0.0,  # nobody reads them of a finalist
        )
        return context.report(report)

    point = worker_study.study.split_params(job.params)
    fits = []
    for fold, rows in enumerate(_rows_of(job, worker_study)):
        item = prepare_fit(
            worker_study,
            point,
            rows,
            epochs=job.epochs,
            seed=seed,
            on_epoch=on_epoch,
            folder=job.file.parent / f"callbacks-{job.file.stem}-{fold}",
        )
        item.fold = fold
        kept = _kept_file(job, fold)
        item.keep_in(kept, alone=True, digest=weights_owner(job.digest, job.index))
        if kept.exists():
            item.take_up(kept, "an earlier attempt")
        item.train()
        if item.judge.answer is Answer.STOP and not item.has_ended:
            raise Stopped("a finalist")
        fits.append(item)
    return fits


def _kept_file(job: FinalistJob, fold: int) -> Path:
    """Return where the progress of a fit is kept until the outcome is there."""
    return job.file.with_name(f"{job.file.stem}.kept-{fold}.npz")


def _rows_of(job: FinalistJob, worker_study: WorkerStudy) -> list[FoldRows]:
    if job.fold == ALL_ROWS:
        return [worker_study.final()]
    if isinstance(job.fold, int):
        return [worker_study.fold(job.fold)]
    return [worker_study.fold(fold) for fold in range(worker_study.n_folds)]
