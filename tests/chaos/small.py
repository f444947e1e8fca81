"""A tiny study that Keras trains, for faults in what needs a model: range tests."""

from __future__ import annotations

import numpy as np

from tuning import Choice, Dataset, Float, Minimize, Study


def build(n: int = 2, lr: float = 0.01):
    """Return one hidden layer."""
    import keras

    layers = [keras.Input((2,)), keras.layers.Dense(n, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(lr), "mean_squared_error")
    return model


def plane() -> Dataset:
    """Return 200 rows."""
    X = np.random.default_rng(0).normal(size=(200, 2))
    return Dataset("plane", X, X.sum(axis=1), "regression")


STUDY = Study(
    name="small",
    builder=build,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"n": Choice(2, 3, 4), "lr": Float(1e-3, 1e-1, log=True)},
    engine="optuna:random",
    trials=8,
    epochs=2,
    batch_size=64,
    top_k=1,
    seeds=1,
    seed=3,
    attempts=1000,
)
