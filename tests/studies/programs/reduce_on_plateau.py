"""A learning rate that falls where the objective rests."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Choice, Dataset, Float, Minimize, Study


def plane() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    y = X[:, 0] - np.tanh(X[:, 1]) + 0.1 * rng.normal(size=240)
    return Dataset("plane", X, y, "regression")


def net(n_units: int = 8, lr: float = 0.3) -> keras.Model:
    hidden = keras.layers.Dense(n_units, activation="tanh")
    model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


def plateau(factor: float = 0.5) -> list[keras.callbacks.Callback]:
    # Keras knows the direction of the metrics that a model is compiled with alone.
    return [keras.callbacks.ReduceLROnPlateau("val_rmse", factor, patience=1, mode="min")]


STUDY = Study(
    name="reduce_on_plateau",
    builder=net,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"n_units": Choice(4, 8), "lr": Float(0.2, 0.4), "factor": Choice(0.2, 0.5)},
    callbacks=plateau,
    trials=2,
    epochs=12,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
