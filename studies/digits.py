"""Handwritten digits of 8 × 8 pixels, the small MNIST: the courses' classifier.

Its shape and its training are searched.
"""

from __future__ import annotations

from tuning import Choice, Float, Int, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.data.toy import digits

STUDY = Study(
    name="digits",
    builder=build_model,
    data=digits,
    objective=Maximize("val_accuracy"),
    space={
        "n_hidden": Int(1, 3),
        "n_neurons": Int(30, 300, log=True),
        "shape": Choice("constant", "pyramid"),
        "lr": Float(3e-4, 1e-2, log=True),
        "batch_size": Choice(16, 32, 64),
    },
    fixed={"optimizer": "adam"},
    trials=15,
    epochs=30,
    patience=5,
    seed=42,
)
