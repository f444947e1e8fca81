"""Two objectives, the error and the size of the model, under a constraint."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Dataset, Float, Int, Minimize, Study


def wave() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(240, 2))
    y = 2 * np.tanh(X[:, 0]) + 0.5 * np.sin(3 * X[:, 1]) + 0.1 * rng.normal(size=240)
    return Dataset("wave", X, y, "regression")


def net(n_units: int = 8, lr: float = 0.01) -> keras.Model:
    hidden = keras.layers.Dense(n_units, activation="tanh")
    model = keras.Sequential([keras.Input((2,)), hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(lr), "mse")
    return model


STUDY = Study(
    name="two_objectives",
    builder=net,
    data=wave,
    objectives=[Minimize("val_rmse"), Minimize("n_parameters")],
    constraints=["n_parameters <= 100"],
    space={"n_units": Int(1, 48, log=True), "lr": Float(0.03, 0.1, log=True)},
    engine="optuna:nsga2",
    trials=8,
    epochs=12,
    batch_size=16,
    top_k=3,
    seeds=3,
    seed=1,
)
