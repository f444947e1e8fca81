"""Twenty made-up trials of a small study: good, pruned, failed, diverged and infeasible ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tuning.reports.summary import Summary, Trials, Winner, ranked
from tuning.space.space import Choice, Float, Int, Space
from tuning.study.objective import Minimize
from tuning.trial import FoldResult, Proposal, Status, TrialResult

SPACE = Space(
    {
        "n_hidden": Int(0, 3),
        "n_neurons": Int(1, 100),
        "lr": Float(3e-4, 3e-2, log=True),
        "batch_size": Choice(16, 32, 64),
    }
)


def _make_trials(count: int = 20, space: Space = SPACE) -> Trials:
    rng = np.random.default_rng(0)
    return [_trial(number, space.sample(rng)) for number in range(count)]


def _trial(number: int, params: dict[str, object]) -> tuple[Proposal, TrialResult]:
    value = 0.5 + (number * 7 % 20) / 100
    ends = {
        7: (Status.FAILED, "ValueError: Dense needs 7 units"),
        13: (Status.DIVERGED, ""),
        16: (Status.FAILED, "ValueError: Dense needs 16 units"),
        17: (Status.INFEASIBLE, "ResourceExhaustedError: shape[100,20]"),
        18: (Status.PRUNED, ""),
    }
    status, error = ends.get(number, (Status.COMPLETED, ""))
    proposal = Proposal(number, params, 30)
    if status not in (Status.COMPLETED, Status.PRUNED):
        return proposal, TrialResult(number, status, error=error, seconds=1.0, slot="cpu:0")
    curve = tuple(
        {"epoch": e, "loss": value, "val_rmse": value + 1 / e} for e in map(float, range(1, 31))
    )
    fold = FoldResult(0, value, {"rmse": value}, curve, best_epoch=30, seconds=4.0, seed=1)
    return proposal, TrialResult(
        number,
        status,
        value,
        {"rmse": value},
        (fold,),
        epochs=30,
        seed=number,
        seconds=4.0,
        training_s=3.0,
        slot="cpu:1",
    )


@pytest.fixture
def make_trials() -> Callable[..., Trials]:
    return _make_trials


@pytest.fixture
def summary() -> Summary:
    trials = _make_trials()
    objective = Minimize("val_rmse")
    best = ranked(trials, objective)[0][0]
    return Summary(
        study="housing",
        engine="optuna:tpe",
        search="housing-optuna-tpe-1a2b3c4d",
        status="finished",
        objective=objective,
        trials=trials,
        winner=Winner(best.number, best.params, (11, 12, 13), (0.553, 0.551, 0.558)),
        test={"rmse": 0.5531, "mae": 0.3712, "r2": 0.7712},
        dummy={"rmse": 1.153, "mae": 0.91, "r2": -0.0003},
        linear={"rmse": 0.7301, "mae": 0.53, "r2": math.nan},
        unit="100,000 USD",
        total_s=183.2,
        startup_s=5.0,
        training_s=300.0,
        tracking_uri="postgresql://me:canary/with@at@db:5432/x?password=canary",
        experiment_id="1",
        run_id="abc",
        report="mlruns/reports/housing.html",
        model="mlruns/winner.keras",
        again='make tune STUDY=housing ARGS="--trials 40"',
    )
