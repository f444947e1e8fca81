"""A regression with three outputs, one linear unit each.

Losses compete as a parameter of the builder.
"""

from __future__ import annotations

from tuning import Choice, Float, Int, Minimize, Study
from tuning.builders.mlp import build_model
from tuning.data.toy import multi_output

STUDY = Study(
    name="multi_output",
    builder=build_model,
    data=multi_output,
    objective=Minimize("val_rmse"),
    space={
        "n_hidden": Int(1, 3),
        "n_neurons": Int(16, 128, log=True),
        "activation": Choice("relu", "tanh"),
        "loss": Choice("mse", "mae", "huber"),
        "lr": Float(1e-3, 3e-2, log=True),
    },
    fixed={"optimizer": "adam"},
    trials=12,
    epochs=60,
    patience=10,
    seed=42,
)
