"""A convolutional autoencoder: y has the shape of images."""

from __future__ import annotations

import keras
from sklearn.datasets import load_digits

from tuning import Choice, Dataset, Float, Minimize, Study


def digits() -> Dataset:
    pixels = load_digits().images[:300, :, :, None] / 16.0
    return Dataset("digits", pixels, pixels, "regression", scale=False)


def autoencoder(n_filters: int = 4, lr: float = 0.01) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(n_filters, 3, strides=2, padding="same", activation="relu"),
            keras.layers.Conv2DTranspose(n_filters, 3, strides=2, padding="same"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(lr), "mse")
    return model


STUDY = Study(
    name="autoencoder_conv",
    builder=autoencoder,
    data=digits,
    objective=Minimize("val_rmse"),
    space={"n_filters": Choice(4, 8), "lr": Float(0.01, 0.03, log=True)},
    trials=2,
    epochs=8,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
