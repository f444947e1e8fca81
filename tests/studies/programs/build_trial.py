"""A builder of Optuna's `trial`, word for word, searched by KerasTuner."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Dataset, Minimize, Study


def plane() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    y = X[:, 0] - np.tanh(X[:, 1]) + 0.1 * rng.normal(size=240)
    return Dataset("plane", X, y, "regression")


def build(trial):
    deep = trial.suggest_categorical("deep", [True, False])
    units = trial.suggest_categorical("units", [4, 8] if deep else [16, 32])
    model = keras.Sequential([keras.Input((4,))])
    for _ in range(2 if deep else 1):
        model.add(keras.layers.Dense(units, activation="relu"))
    model.add(keras.layers.Dense(1))
    name = trial.suggest_categorical("optimizer", ["Adam", "SGD"])
    if name == "Adam":
        optimizer = keras.optimizers.Adam(trial.suggest_float("adam_lr", 5e-3, 3e-2, log=True))
    else:
        optimizer = keras.optimizers.SGD(trial.suggest_float("sgd_lr", 0.05, 0.1))
    model.compile(optimizer, "mse")
    return model


STUDY = Study(
    name="build_trial",
    builder=build,
    data=plane,
    objective=Minimize("val_rmse"),
    engine="keras-tuner:random",
    trials=2,
    epochs=15,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
