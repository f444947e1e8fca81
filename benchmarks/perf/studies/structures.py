"""200 trials of 200 structures: for what the workers keep of each."""

from __future__ import annotations

from tuning.builders.mlp import build_model
from tuning.data.california import california_housing
from tuning.space.domains import Choice
from tuning.study.objective import Minimize
from tuning.study.study import Study

STUDY = Study(
    name="structures",
    builder=build_model,
    data=california_housing,
    objective=Minimize("val_rmse"),
    space={"n_neurons": Choice(*range(20, 220))},
    fixed={"n_hidden": 2, "batch_norm": True},  # so each width has a graph of its own
    engine="optuna:grid",
    trials=200,
    epochs=3,
    batch_size=128,
    seed=42,
)
