"""KerasTuner's `HyperModel`, word for word: its `fit` chooses the batch size."""

from __future__ import annotations

import keras
import keras_tuner
import numpy as np

from tuning import Dataset, Minimize, Study


def plane() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    y = X[:, 0] - np.tanh(X[:, 1]) + 0.1 * rng.normal(size=240)
    return Dataset("plane", X, y, "regression")


class Regressor(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.Input((4,))])
        model.add(keras.layers.Dense(hp.Int("units", 8, 16, step=8), activation="relu"))
        model.add(keras.layers.Dense(1))
        lr = hp.Float("lr", 5e-3, 3e-2, sampling="log", default=1e-2)
        model.compile(keras.optimizers.Adam(lr), "mse")
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("batch_size", [8, 16]), **kwargs)


STUDY = Study(
    name="hypermodel",
    builder=Regressor(),
    data=plane,
    objective=Minimize("val_rmse"),
    trials=2,
    epochs=15,
    top_k=1,
    seeds=3,
    seed=1,
)
