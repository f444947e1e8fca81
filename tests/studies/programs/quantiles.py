"""Three quantiles of one target, by a loss of our own."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Choice, Dataset, Float, Minimize, Study

QUANTILES = (0.1, 0.5, 0.9)


def spread() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(300, 2))
    y = X[:, 0] + (0.5 + abs(X[:, 1])) * rng.normal(size=300)
    return Dataset("spread", X, y, "regression")


def pinball(y_true, y_pred):
    error = y_true - y_pred
    shares = keras.ops.convert_to_tensor(QUANTILES, y_pred.dtype)
    return keras.ops.mean(keras.ops.maximum(shares * error, (shares - 1) * error), axis=-1)


def quantile_net(n_units: int = 8, lr: float = 0.01) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(n_units, activation="relu"),
            keras.layers.Dense(len(QUANTILES)),
        ]
    )
    model.compile(keras.optimizers.Adam(lr), pinball)
    return model


STUDY = Study(
    name="quantiles",
    builder=quantile_net,
    data=spread,
    objective=Minimize("val_loss"),
    space={"n_units": Choice(8, 16), "lr": Float(0.01, 0.03, log=True)},
    trials=2,
    epochs=20,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
