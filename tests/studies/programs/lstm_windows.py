"""An LSTM on windows of a series, split by time; how far it looks back is searched too."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Choice, Dataset, Float, Minimize, Study, Windows


def wave(window: int = 8) -> Dataset:
    moments = np.arange(300)
    noise = 0.1 * np.random.default_rng(0).normal(size=300)
    return Windows(np.sin(moments / 4) + noise, window, horizon=2, name="wave")


def lstm(n_units: int = 8, lr: float = 0.01, input_shape: tuple[int, ...] = (8, 1)) -> keras.Model:
    model = keras.Sequential(
        [keras.Input(input_shape), keras.layers.LSTM(n_units), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(lr), "mse")
    return model


STUDY = Study(
    name="lstm_windows",
    builder=lstm,
    data=wave,
    objective=Minimize("val_rmse"),
    space={"window": Choice(6, 12), "n_units": Choice(4, 8), "lr": Float(0.01, 0.03)},
    trials=2,
    epochs=8,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
