"""Folds of whole groups: several rows of each patient, who is on one side only."""

from __future__ import annotations

import keras
import numpy as np
from sklearn.model_selection import GroupKFold

from tuning import Choice, Dataset, Float, Minimize, Study


def patients() -> Dataset:
    rng = np.random.default_rng(0)
    groups = np.arange(240) // 6
    X = rng.normal(size=(40, 4))[groups] + 0.3 * rng.normal(size=(240, 4))
    y = X[:, 0] - np.tanh(X[:, 1]) + 0.5 * rng.normal(size=40)[groups]
    return Dataset("patients", X, y, "regression", groups=groups)


def net(n_units: int = 8, lr: float = 0.01) -> keras.Model:
    hidden = keras.layers.Dense(n_units, activation="tanh")
    model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(lr), "mse")
    return model


STUDY = Study(
    name="group_cv",
    builder=net,
    data=patients,
    objective=Minimize("val_rmse"),
    space={"n_units": Choice(4, 8), "lr": Float(0.01, 0.03, log=True)},
    cv=GroupKFold(3),
    trials=2,
    epochs=12,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
