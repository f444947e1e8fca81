"""KerasTuner's `build_model(hp)`, word for word."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Dataset, Minimize, Study


def plane() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    y = X[:, 0] - np.tanh(X[:, 1]) + 0.1 * rng.normal(size=240)
    return Dataset("plane", X, y, "regression")


def build_model(hp):
    model = keras.Sequential([keras.Input((4,))])
    for i in range(hp.Int("layers", 1, 2)):
        units = hp.Int(f"units_{i}", 8, 16, step=8)
        model.add(keras.layers.Dense(units, activation="relu"))
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(hp.Float("rate", 0.05, 0.15, step=0.05)))
    model.add(keras.layers.Dense(1))
    lr = hp.Float("lr", 5e-3, 3e-2, sampling="log", default=1e-2)
    model.compile(keras.optimizers.Adam(lr), "mse")
    return model


STUDY = Study(
    name="build_model_hp",
    builder=build_model,
    data=plane,
    objective=Minimize("val_rmse"),
    trials=2,
    epochs=15,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
