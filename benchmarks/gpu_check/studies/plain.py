"""A small plain network: a GPU waits for its launches, a CPU core trains it in machine code."""

from __future__ import annotations

import numpy as np

from tuning import Dataset, Float, Int, Minimize, Study
from tuning.builders.mlp import build_model


def numbers() -> Dataset:
    """Return 4,000 rows of 8 numbers and a smooth function of them."""
    x = np.random.default_rng(0).normal(size=(4_000, 8)).astype("float32")
    return Dataset("numbers", x, np.sin(x).sum(axis=1), "regression")


STUDY = Study(
    name="gpu_check_plain",
    builder=build_model,
    data=numbers,
    objective=Minimize("val_rmse"),
    space={"n_neurons": Int(16, 64), "lr": Float(1e-3, 1e-1, log=True)},
    fixed={"n_hidden": 2},
    engine="optuna:random",
    trials=24,
    epochs=15,
    top_k=1,
    seeds=1,
    seed=1,
)
