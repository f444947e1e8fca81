"""A learning rate that decays by a schedule inside the optimizer."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Choice, Dataset, Float, Minimize, Study


def plane() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    y = X[:, 0] - np.tanh(X[:, 1]) + 0.1 * rng.normal(size=240)
    return Dataset("plane", X, y, "regression")


def net(n_units: int = 8, lr: float = 0.1, decay: float = 0.9) -> keras.Model:
    hidden = keras.layers.Dense(n_units, activation="tanh")
    model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(1)])
    schedule = keras.optimizers.schedules.ExponentialDecay(lr, 9, decay)
    model.compile(keras.optimizers.SGD(schedule), "mse")
    return model


STUDY = Study(
    name="exponential_decay",
    builder=net,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"n_units": Choice(4, 8), "lr": Float(0.1, 0.3), "decay": Choice(0.8, 0.9)},
    trials=2,
    epochs=12,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
