"""Studies without training: the builder returns the objective itself, to try an engine in no time.

`trainer="function"`; the builder may take `fidelity` (the share of the study's epochs that is done,
above 0, at most 1) and `seed` (another one for each training seed, point and epoch) and is called
once an epoch. Without `seed` there is no noise.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning.data.dataset import Dataset
from tuning.errors import StudyError
from tuning.ledger.digests import stored_digest
from tuning.ledger.records import write_record
from tuning.ledger.results import keep_test_score
from tuning.ledger.winner import Evaluation, FinalistOutcome
from tuning.space.constraints import MODEL_FIGURES, Constraint, broken, constraints_of
from tuning.space.trial_recorder import OnReport, asks_to_prune
from tuning.storage.durable import read_json, write_json
from tuning.storage.secrets import revealed
from tuning.study.builder_arguments import names_taken
from tuning.study.foreign.foreign_builder import trial_of
from tuning.study.study import Study, derive_seed
from tuning.trial import (
    Answer,
    EpochReport,
    FoldResult,
    Metrics,
    Params,
    Status,
    TrialResult,
)
from tuning.trials.jobs import EvaluationJob, FinalistJob, Stopped, TrialJob, refused
from tuning.trials.usage.meter import Stopwatch

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
    """Return the (first) objective at a point after an epoch; see `evaluate_all`."""
    return evaluate_all(study, params, epoch=epoch, seed=seed)[study.objective.metric]


def evaluate_all(study: Study, params: Params, *, epoch: int, seed: int | None) -> dict[str, float]:
    """Return what a study asks for at a point after an epoch, by name: objectives first.

    The builder returns a number; of several objectives as many, in their order; or a mapping of
    names to numbers, which may hold the figures of constraints too.

    Args:
        study: With `trainer="function"`.
        params: A point of its space.
        epoch: From 1 to the study's epochs.
        seed: Of training; None: the function's own default, which is its value without noise.

    Raises:
        StudyError: The builder returned no number, or not all that the study asks for.
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

    returned = study.builder(**revealed(arguments))
    try:
        return _by_name(study, returned)
    except (TypeError, ValueError, KeyError):
        name = getattr(study.builder, "__name__", "builder")
        raise StudyError(
            f"{name}() must return {_wanted(study)} where trainer='function', got {returned!r}",
            where=f"study '{study.name}'",
        ) from None


def _by_name(study: Study, returned: Any) -> dict[str, float]:
    """Return what a builder returned by name, what the study asks for first."""
    names = _names_asked(study)
    if isinstance(returned, Mapping):
        asked = {name: float(returned[name]) for name in names}
        return {**asked, **{str(name): float(value) for name, value in returned.items()}}
    values = returned if study.objectives else [returned]
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _names_asked(study: Study) -> list[str]:
    objectives = study.objectives or (study.objective,)
    limits = constraints_of(study.constraints)
    names = [*(each.metric for each in objectives), *(each.figure for each in limits)]
    return list(dict.fromkeys(names))


def _wanted(study: Study) -> str:
    """Say what a builder must return."""
    names = _names_asked(study)
    if study.constraints:
        return f"a mapping with {', '.join(names)}"
    if study.objectives:
        return f"{len(names)} numbers ({', '.join(names)})"
    return "a number"


def _of_model(study: Study) -> list[Constraint]:
    return [each for each in constraints_of(study.constraints) if each.of_model]


def _model_figures(values: Metrics) -> dict[str, float]:
    return {name: value for name, value in values.items() if name in MODEL_FIGURES}


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

    began = time.perf_counter()
    status = Status.COMPLETED
    curve: list[dict[str, float]] = []
    first = _epochs_of_parent(job) + 1
    # Optuna's `objective(trial)` does its whole work in one call, which knows of no epochs.
    if getattr(study.builder, "asks_for_parameters", False):
        first = proposal.epochs
    on_report = _on_report(training, curve, began)
    for epoch in range(first, proposal.epochs + 1):
        is_first = not curve
        try:
            with trial_of(study.builder, proposal.number, on_report):
                values = evaluate_all(study, proposal.params, epoch=epoch, seed=training.seed)
        except Exception as error:
            if asks_to_prune(error) and curve:
                return _result(training, Status.PRUNED, curve)
            raise
        epoch = max(epoch, int(curve[-1]["epoch"]) + 1 if curve else 1)
        if is_first and broken(_of_model(study), values):
            return refused(study, proposal.number, _model_figures(values))
        curve.append({"epoch": float(epoch), **values})
        if not all(map(math.isfinite, values.values())):
            return _result(training, Status.DIVERGED, curve)
        if _answer(training, curve[-1], began) is Answer.PRUNE:
            status = Status.PRUNED
            break

    if job.score_test:
        with trial_of(study.builder, proposal.number):
            score = evaluate(study, proposal.params, epoch=study.epochs, seed=None)
        keep_test_score(job.folder, study.objective.name, score)
    if job.keep_end:
        end = {"epoch": proposal.epochs, "proposal_digest": proposal.digest}
        write_json(job.folder / _END, end)
    return _result(training, status, curve)


def _on_report(training: Training, curve: list[dict[str, float]], began: float) -> OnReport:
    """Return what tells the driver the values that an `objective(trial)` reports on its way.

    Optuna counts steps from 0, mostly; a curve counts epochs from 1.
    """
    study = training.worker_study.study

    def report(value: float, step: int) -> bool:
        if study.objectives or not math.isfinite(value):  # Optuna prunes by neither
            return False
        curve.append({"epoch": float(step + 1), study.objective.metric: value})
        return _answer(training, curve[-1], began) is Answer.PRUNE

    return report


def _answer(training: Training, row: Metrics, began: float) -> Answer:
    """Report a row of the curve; return what the driver says.

    Raises:
        Stopped: It wants the slot back.
    """
    report = EpochReport(
        number=training.job.proposal.number,
        epoch=int(row["epoch"]),
        value=row[training.worker_study.study.objective.metric],
        metrics=row,
        seconds=time.perf_counter() - began,
    )
    answer = training.context.report(report)
    if answer is Answer.STOP:
        raise Stopped(f"trial {report.number}")
    return answer


def _epochs_of_parent(job: TrialJob) -> int:
    """Return the epochs that the trial continued has behind it; 0 where there is none."""
    if job.parent is None:
        return 0
    end = read_json(job.parent / _END)
    if not isinstance(end, dict):
        return 0
    # Earlier versions wrote none.
    digest = end.get("proposal_digest")
    if digest and digest != stored_digest(job.parent):
        return 0  # another trial's: begun anew
    epoch = end.get("epoch")
    if isinstance(epoch, bool) or not isinstance(epoch, int):
        return 0
    return epoch if 0 < epoch < job.proposal.epochs else 0


def _result(training: Training, status: Status, curve: list[dict[str, float]]) -> TrialResult:
    """Return what came of an evaluation at each epoch of `curve`."""
    number = training.job.proposal.number
    metric = training.worker_study.study.objective.metric
    last = curve[-1]

    fold = FoldResult(
        fold=0,
        value=last[metric],
        metrics={name: value for name, value in last.items() if name != "epoch"},
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
    stopwatch = Stopwatch(slot)
    with trial_of(study.builder, job.number):
        values = evaluate_all(study, job.params, epoch=job.epochs, seed=seed)
    value = values[study.objective.metric]
    ended_at = time.time()
    usage = stopwatch.usage

    outcome = FinalistOutcome(
        number=job.number,
        index=job.index,
        digest=job.digest,
        seed=seed,
        value=value if all(map(math.isfinite, values.values())) else None,
        epochs=job.epochs,
        seconds=ended_at - started_at,
        slot=slot,
        started_at=started_at,
        ended_at=ended_at,
        figures=values if study.objectives or study.constraints else {},
        cpu_s=usage.cpu_s,
        gpu_s=usage.gpu_s,
    )
    write_record(job.file, outcome)
    return outcome


def function_winner(study: Study, job: EvaluationJob) -> Evaluation:
    """Return the winner's value without noise in the place of a test score.

    There is no model to be saved.
    """
    with trial_of(study.builder, job.number):
        values = evaluate_all(study, job.params, epoch=study.epochs, seed=None)
    test = {name.removeprefix("val_"): value for name, value in values.items()}
    return Evaluation(test=test, digest=job.digest)
