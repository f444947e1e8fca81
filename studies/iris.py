"""Iris: three species from four lengths, each trial judged by 3 stratified folds.

The table is small: one validation part would be too few rows.
"""

from __future__ import annotations

from tuning import Choice, Float, Int, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.data.toy import iris

STUDY = Study(
    name="iris",
    builder=build_model,
    data=iris,
    objective=Maximize("val_accuracy"),
    space={
        "n_hidden": Int(0, 2),
        "n_neurons": Int(4, 32, log=True),
        "lr": Float(3e-3, 1e-1, log=True),
        "batch_size": Choice(8, 16, 32),
    },
    fixed={"optimizer": "adam"},
    trials=12,
    epochs=60,
    cv=3,
    seed=42,
)
