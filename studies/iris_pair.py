"""Setosa and virginica by their petals: a line separates them.

A perceptron does so without an error, as its theorem promises.
"""

from __future__ import annotations

from tuning import Choice, Float, Maximize, Study
from tuning.builders.perceptron import build_perceptron
from tuning.data.toy import iris_pair

STUDY = Study(
    name="iris_pair",
    builder=build_perceptron,
    data=iris_pair,
    objective=Maximize("val_accuracy"),
    space={
        "activation": Choice("heaviside", "sign"),
        "lr": Float(1e-2, 1.0, log=True),
    },
    batch_size=1,
    trials=6,
    epochs=10,
    seed=42,
)
