"""A noisy circle inside another: a straight line fails.

An accuracy of 0.829 is the most that can be hoped for.
"""

from __future__ import annotations

from tuning import Choice, Float, Int, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.data.toy import circles

STUDY = Study(
    name="circles",
    builder=build_model,
    data=circles,
    objective=Maximize("val_accuracy"),
    space={
        "n_hidden": Int(1, 3),
        "n_neurons": Int(5, 40, log=True),
        "shape": Choice("constant", "pyramid"),
        "activation": Choice("relu", "tanh"),
        "lr": Float(1e-3, 1e-1, log=True),
    },
    fixed={"optimizer": "adam"},
    batch_size=10,
    trials=12,
    epochs=50,
    patience=10,
    test_size=0.2,
    seed=23,
)
