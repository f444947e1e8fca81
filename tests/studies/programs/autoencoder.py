"""A dense autoencoder: what goes in shall come out."""

from __future__ import annotations

import keras
from sklearn.datasets import load_digits

from tuning import Choice, Dataset, Float, Minimize, Study


def digits() -> Dataset:
    pixels = load_digits().data[:400] / 16.0
    return Dataset("digits", pixels, pixels, "regression", scale=False)


def autoencoder(n_code: int = 8, lr: float = 0.01) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(n_code, activation="relu"),
            keras.layers.Dense(64, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(lr), "mse")
    return model


STUDY = Study(
    name="autoencoder",
    builder=autoencoder,
    data=digits,
    objective=Minimize("val_rmse"),
    space={"n_code": Choice(8, 16), "lr": Float(0.01, 0.03, log=True)},
    trials=2,
    epochs=12,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
