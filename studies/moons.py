"""Two interleaved half circles: a space with a condition, momentum exists only where SGD does."""

from __future__ import annotations

from tuning import Choice, Float, Int, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.data.toy import moons

STUDY = Study(
    name="moons",
    builder=build_model,
    data=moons,
    objective=Maximize("val_accuracy"),
    space={
        "n_hidden": Int(1, 3),
        "n_neurons": Int(4, 32, log=True),
        "optimizer": Choice("sgd", "adam"),
        "momentum": Float(0.0, 0.95).when(optimizer="sgd"),
        "lr": Float(1e-3, 1e-1, log=True),
    },
    trials=12,
    epochs=50,
    patience=10,
    test_size=0.2,
    seed=23,
)
