"""Studies without training: the builder returns the objective itself, so that an engine can be
tried in no time.

`trainer="function"`; the builder may take `fidelity` (the share of the study's epochs that is done,
above 0, at most 1) and `seed` (another one for each training seed, point and epoch) and is called
once an epoch. Without `seed` there is no noise.
"""

from __future__ import annotations

import inspect
import json
import math
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning.data.dataset import Dataset
from tuning.errors import StudyError
from tuning.ledger.results import keep_test_score
from tuning.storage.durable import read_json, write_json
from tuning.study.study import FIT_PARAMETERS, Builder, Study, derive_seed
from tuning.trial import Context, EpochReport, FoldResult, Status, TrialResult
from tuning.trials.jobs import EvaluationJob, FinalistJob, Stopped, TrialJob

if TYPE_CHECKING:
    from tuning.trials.worker_study import WorkerStudy

_ROWS = 16


def no_data() -> Dataset:
    """Return rows that nobody reads, for studies whose builder needs none: engines want something
    to split.
    """
    numbers = np.arange(_ROWS, dtype=float)
    return Dataset("none", numbers[:, None], numbers, "regression", scale=False)


def evaluate(study: Study, params: Mapping[str, Any], *, epoch: int, seed: int | None) -> float:
    """Return the objective at a point after an epoch.

    Args:
        study: With `trainer="function"`.
        params: A point of its space.
        epoch: From 1 to the study's epochs.
        seed: Of training; None: the function's own default, which is its value without noise.

    Raises:
        StudyError: The builder returned no number.
    """
    takes, whatever = _takes(study.builder)
    given = {**study.fixed, **params}
    arguments = {
        name: given[name]
        for name in given
        if name in takes or (whatever and name not in FIT_PARAMETERS)
    }
    if "fidelity" in takes:
        arguments["fidelity"] = min(1.0, epoch / study.epochs)
    if "seed" in takes and seed is not None:
        arguments["seed"] = derive_seed(
            seed, json.dumps(dict(params), sort_keys=True, default=repr), epoch
        )
    value = study.builder(**arguments)
    try:
        return float(value)
    except (TypeError, ValueError):
        name = getattr(study.builder, "__name__", "builder")
        raise StudyError(
            f"{name}() must return a number where trainer='function', got {value!r}",
            where=f"study '{study.name}'",
        ) from None


@lru_cache(maxsize=32)
def _takes(builder: Builder) -> tuple[frozenset[str], bool]:
    """Return the names a builder takes, and whether it takes any other (`**kwargs`)."""
    parameters = inspect.signature(builder).parameters
    return frozenset(parameters), any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def function_trial(job: TrialJob, bench: WorkerStudy, seed: int, context: Context) -> TrialResult:
    """Do what training does for a trial: an epoch at a time, reported, and pruned where the driver
    says so.

    Raises:
        Stopped: The driver wants the slot back.
    """
    study, proposal = bench.study, job.proposal
    metric, began = study.objective.metric, time.perf_counter()
    curve: list[dict[str, float]] = []
    verdict = "continue"
    first = _continued_from(job)
    for epoch in range(first + 1, proposal.epochs + 1):
        value = evaluate(study, proposal.params, epoch=epoch, seed=seed)
        curve.append({"epoch": float(epoch), metric: value})
        if value != value or value in (float("inf"), float("-inf")):
            return _ended(proposal.number, Status.DIVERGED, metric, curve, seed)
        seconds = time.perf_counter() - began
        verdict = context.report(EpochReport(proposal.number, epoch, value, curve[-1], seconds))
        if verdict == "stop":
            raise Stopped(f"trial {proposal.number}")
        if verdict == "prune":
            break
    if job.score_test:
        keep_test_score(
            job.folder,
            study.objective.name,
            evaluate(study, proposal.params, epoch=study.epochs, seed=None),
        )
    if job.keep_end:
        write_json(job.folder / "end.json", {"epoch": proposal.epochs})
    return _ended(
        proposal.number,
        Status.PRUNED if verdict == "prune" else Status.COMPLETED,
        metric,
        curve,
        seed,
    )


def _continued_from(job: TrialJob) -> int:
    return (
        0
        if job.parent is None
        else int((read_json(job.parent / "end.json") or {"epoch": 0})["epoch"])
    )


def _ended(
    number: int, status: Status, metric: str, curve: list[dict[str, float]], seed: int
) -> TrialResult:
    value = curve[-1][metric]
    fold = FoldResult(
        0,
        value,
        {metric: value},
        tuple(curve),
        best_epoch=int(curve[-1]["epoch"]),
        seconds=0.0,
        seed=seed,
    )
    if status is Status.DIVERGED:
        return TrialResult(
            number, status, folds=(fold,), epochs=len(curve), error="the objective is not finite"
        )
    return TrialResult(number, status, value, {metric: value}, (fold,), epochs=len(curve))


def function_finalist(study: Study, job: FinalistJob, seed: int, slot: str) -> dict[str, Any]:
    """Do what training does for a finalist on a fresh seed; see `train_finalist`."""
    began = time.time()
    value = evaluate(study, job.params, epoch=job.epochs, seed=seed)
    outcome = {
        "number": job.number,
        "index": job.index,
        "seed": seed,
        "weights": None,
        "epochs": job.epochs,
        "value": value if math.isfinite(value) else None,
        "training_s": 0.0,
        "seconds": time.time() - began,
        "slot": slot,
        "started_at": began,
        "ended_at": time.time(),
    }
    write_json(job.file, outcome)
    return outcome


def function_winner(study: Study, job: EvaluationJob) -> dict[str, Any]:
    """Return the winner's value without noise in the place of a test score; there is no model to be
    saved.
    """
    value = evaluate(study, job.params, epoch=study.epochs, seed=None)
    outcome = {"test": {study.objective.name: value}, "baseline": {}, "model": None}
    write_json(job.file, outcome)
    return outcome
