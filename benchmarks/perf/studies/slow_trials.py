"""Trials of some 5 s on one core of two: for the cost of what is written behind them."""

from __future__ import annotations

from tuning.builders.mlp import build_model
from tuning.data.california import california_housing
from tuning.space.domains import Float
from tuning.study.objective import Minimize
from tuning.study.study import Study

STUDY = Study(
    name="slow_trials",
    builder=build_model,
    data=california_housing,
    objective=Minimize("val_rmse"),
    space={"lr": Float(3e-4, 3e-3, log=True)},
    fixed={"n_hidden": 2, "n_neurons": 150},
    engine="optuna:random",
    trials=24,
    epochs=60,
    seed=42,
)
