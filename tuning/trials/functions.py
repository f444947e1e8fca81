"""Studies without training: the builder returns the objective itself, to try an engine in no time.

`trainer="function"`; the builder may take `fidelity` (the share of the study's epochs that is done,
above 0, at most 1) and `seed` (another one for each training seed, point and epoch) and is called
once an epoch. Without `seed` there is no noise.
"""

from __future__ import annotations

import json
import math
import time
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tuning.data.dataset import Dataset
from tuning.errors import StudyError
from tuning.ledger.records import write_record
from tuning.ledger.results import keep_test_score
from tuning.ledger.winner import Evaluation, FinalistOutcome
from tuning.storage.durable import read_json, write_json
from tuning.study.builder_arguments import names_taken
from tuning.study.study import Study, derive_seed
from tuning.trial import Answer, EpochReport, FoldResult, Params, Status, TrialResult
from tuning.trials.jobs import EvaluationJob, FinalistJob, Stopped, TrialJob

if TYPE_CHECKING:
    from tuning.trials.training import Training

_ROWS = 16  # enough to be split in three

_END = "end.json"
"""In a trial's folder: how far it went, for trials that continue it."""


def no_data() -> Dataset:
    """Return rows that nobody reads, for builders that need none: engines want a split."""
    numbers = np.arange(_ROWS, dtype=float)
    return Dataset("none", numbers[:, None], numbers, "regression", scale=False)


def evaluate(study: Study, params: Params, *, epoch: int, seed: int | None) -> float:
    """Return the objective at a point after an epoch.

    Args:
        study: With `trainer="function"`.
        params: A point of its space.
        epoch: From 1 to the study's epochs.
        seed: Of training; None: the function's own default, which is its value without noise.

    Raises:
        StudyError: The builder returned no number.
    """
    taken = _names_taken(study.builder)
    values = {**study.fixed, **params}
    arguments = {name: value for name, value in values.items() if taken.takes(name)}

    if "fidelity" in taken.names:
        arguments["fidelity"] = min(1.0, epoch / study.epochs)
    if "seed" in taken.names and seed is not None:
        # Noise belongs to seed, point and epoch: a trial that is repeated has the same.
        point = json.dumps(dict(params), sort_keys=True, default=repr)
        arguments["seed"] = derive_seed(seed, point, epoch)

    value = study.builder(**arguments)
    try:
        return float(value)
    except (TypeError, ValueError):
        name = getattr(study.builder, "__name__", "builder")
        raise StudyError(
            f"{name}() must return a number where trainer='function', got {value!r}",
            where=f"study '{study.name}'",
        ) from None


# Cached, since every epoch of every trial asks.
_names_taken = lru_cache(maxsize=32)(names_taken)


def function_trial(training: Training) -> TrialResult:
    """Do what training does for a trial: an epoch at a time, each reported.

    Raises:
        Stopped: The driver wants the slot back.
    """
    job = training.job
    study = training.worker_study.study
    proposal = job.proposal
    metric = study.objective.metric

    began = time.perf_counter()
    status = Status.COMPLETED
    curve: list[dict[str, float]] = []
    first = _epochs_of_parent(job) + 1
    # Optuna's `objective(trial)` does its whole work in one call, which knows of no epochs.
    if getattr(study.builder, "asks_for_parameters", False):
        first = proposal.epochs
    for epoch in range(first, proposal.epochs + 1):
        value = evaluate(study, proposal.params, epoch=epoch, seed=training.seed)
        curve.append({"epoch": float(epoch), metric: value})
        if not math.isfinite(value):
            return _result(training, Status.DIVERGED, curve)

        seconds = time.perf_counter() - began
        report = EpochReport(proposal.number, epoch, value, curve[-1], seconds)
        answer = training.context.report(report)
        if answer is Answer.STOP:
            raise Stopped(f"trial {proposal.number}")
        if answer is Answer.PRUNE:
            status = Status.PRUNED
            break

    if job.score_test:
        score = evaluate(study, proposal.params, epoch=study.epochs, seed=None)
        keep_test_score(job.folder, study.objective.name, score)
    if job.keep_end:
        write_json(job.folder / _END, {"epoch": proposal.epochs})
    return _result(training, status, curve)


def _epochs_of_parent(job: TrialJob) -> int:
    """Return the epochs that the trial continued has behind it; 0 where there is none."""
    if job.parent is None:
        return 0
    end = read_json(job.parent / _END)
    return 0 if end is None else int(end["epoch"])


def _result(training: Training, status: Status, curve: list[dict[str, float]]) -> TrialResult:
    """Return what came of an evaluation at each epoch of `curve`."""
    number = training.job.proposal.number
    metric = training.worker_study.study.objective.metric
    last = curve[-1]

    fold = FoldResult(
        fold=0,
        value=last[metric],
        metrics={metric: last[metric]},
        curve=tuple(curve),
        best_epoch=int(last["epoch"]),
        seconds=0.0,
        seed=training.seed,
    )

    # Without a value: no engine may learn from one that is not finite.
    if status is Status.DIVERGED:
        return TrialResult(
            number=number,
            status=status,
            folds=(fold,),
            epochs=len(curve),
            error="the objective is not finite",
        )

    return TrialResult(
        number=number,
        status=status,
        value=fold.value,
        metrics=fold.metrics,
        folds=(fold,),
        epochs=len(curve),
    )


def function_finalist(study: Study, job: FinalistJob, seed: int, slot: str) -> FinalistOutcome:
    """Do what training does for a finalist on a fresh seed; see `train_finalist`."""
    started_at = time.time()
    value = evaluate(study, job.params, epoch=job.epochs, seed=seed)
    ended_at = time.time()

    outcome = FinalistOutcome(
        number=job.number,
        index=job.index,
        seed=seed,
        value=value if math.isfinite(value) else None,
        epochs=job.epochs,
        seconds=ended_at - started_at,
        slot=slot,
        started_at=started_at,
        ended_at=ended_at,
    )
    write_record(job.file, outcome)
    return outcome


def function_winner(study: Study, job: EvaluationJob) -> Evaluation:
    """Return the winner's value without noise in the place of a test score.

    There is no model to be saved.
    """
    value = evaluate(study, job.params, epoch=study.epochs, seed=None)
    evaluation = Evaluation(test={study.objective.name: value})
    write_record(job.file, evaluation)
    return evaluation
