"""A layer of one's own that is imported from another module."""

from __future__ import annotations

import keras
import numpy as np
from program_layers import Gate

from tuning import Choice, Dataset, Float, Minimize, Study


def plane() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 6))
    y = X[:, 0] - np.tanh(X[:, 1]) + 0.1 * rng.normal(size=240)
    return Dataset("plane", X, y, "regression")


def gated(n_units: int = 8, lr: float = 0.01) -> keras.Model:
    hidden = keras.layers.Dense(n_units, activation="tanh")
    model = keras.Sequential([keras.Input((6,)), Gate(), hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(lr), "mse")
    return model


STUDY = Study(
    name="layer_elsewhere",
    builder=gated,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"n_units": Choice(4, 8), "lr": Float(0.01, 0.03, log=True)},
    trials=2,
    epochs=12,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
