"""Perceptron: one neuron that learns w ← w + η (y − ŷ) x, on two clouds that overlap a little.

Its own `train_step` takes the `model.fit` path. A step never settles where classes overlap, a
sigmoid does.
"""

from __future__ import annotations

from tuning import Choice, Float, Maximize, Study
from tuning.builders.perceptron import build_perceptron
from tuning.data.toy import blobs

STUDY = Study(
    name="perceptron",
    builder=build_perceptron,
    data=blobs,
    objective=Maximize("val_accuracy"),
    space={
        "activation": Choice("heaviside", "sign", "sigmoid", "tanh"),
        "lr": Float(1e-3, 1.0, log=True),
        "batch_size": Choice(8, 32, 128),
    },
    trials=12,
    epochs=20,
    patience=8,
    test_size=0.2,
    seed=23,
)
