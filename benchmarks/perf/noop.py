"""A search whose trials train nothing: what the worker does, and the study."""

from __future__ import annotations

import time
from dataclasses import replace

from tuning.builders.mlp import build_model
from tuning.data.california import california_housing
from tuning.ledger.results import keep_result
from tuning.space.domains import Choice, Float, Int
from tuning.study.objective import Minimize
from tuning.study.study import Study
from tuning.trial import Context, EpochReport, FoldResult, Status, TrialResult
from tuning.trials.jobs import TrialJob

CURVE = 30
"""Epochs in the curve of each result, as real trials have: the driver reads it, and may keep it."""


def study(trials: int) -> Study:
    """Return a study with the space of `housing` and an engine that costs little."""
    return Study(
        name="noop",
        builder=build_model,
        data=california_housing,
        objective=Minimize("val_rmse"),
        space={
            "n_hidden": Int(1, 3),
            "n_neurons": Int(20, 150),
            "lr": Float(3e-4, 1e-2, log=True),
            "batch_size": Choice(32, 64, 128),
        },
        engine="optuna:random",
        trials=trials,
        epochs=CURVE,
        seed=42,
    )


def train_nothing(job: TrialJob, context: Context) -> TrialResult:
    """Report one epoch and keep a result with a curve; the function of a `Job`."""
    began = time.time()
    value = float(job.proposal.params["lr"])
    curve = tuple(
        {"epoch": i + 1.0, "loss": value + i, "val_loss": value - i, "val_rmse": value}
        for i in range(CURVE)
    )
    context.report(EpochReport(job.proposal.number, 1, value, curve[0], 0.0))

    metrics = {"val_loss": value, "val_rmse": value}
    result = TrialResult(
        job.proposal.number,
        Status.COMPLETED,
        value=value,
        metrics=metrics,
        epochs=CURVE,
        folds=(FoldResult(0, value, metrics, curve, best_epoch=CURVE, seconds=0.0, seed=1),),
        slot=context.slot,
        started_at=began,
    )
    result = replace(result, ended_at=time.time(), seconds=time.time() - began)
    keep_result(job.folder, result)
    return result
