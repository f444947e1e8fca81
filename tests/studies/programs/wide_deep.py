"""Wide and deep: two inputs, and a second output that helps to train the deep part."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from tuning import Dataset, Float, Int, Minimize, Study


def houses() -> Dataset:
    rng = np.random.default_rng(0)
    wide, deep = rng.normal(size=(240, 3)), rng.normal(size=(240, 5))
    price = wide.sum(axis=1) + np.tanh(deep[:, 0] * 2) + 0.1 * rng.normal(size=240)
    y = {"price": price, "aside": price}
    return Dataset("houses", {"wide": wide, "deep": deep}, y, "regression")


def wide_and_deep(
    input_shape: Mapping[str, tuple[int, ...]], n_units: int = 8, lr: float = 0.01
) -> keras.Model:
    inputs = {name: keras.Input(input_shape[name], name=name) for name in ("wide", "deep")}
    hidden = keras.layers.Dense(n_units, activation="relu")(inputs["deep"])
    hidden = keras.layers.Dense(n_units, activation="relu")(hidden)
    both = keras.layers.Concatenate()([inputs["wide"], hidden])
    outputs = {
        "price": keras.layers.Dense(1, name="price")(both),
        "aside": keras.layers.Dense(1, name="aside")(hidden),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(lr),
        loss={"price": "mse", "aside": "mse"},
        loss_weights={"price": 0.9, "aside": 0.1},
    )
    return model


STUDY = Study(
    name="wide_deep",
    builder=wide_and_deep,
    data=houses,
    objective=Minimize("val_price_rmse"),
    space={"n_units": Int(4, 16), "lr": Float(0.003, 0.03, log=True)},
    trials=2,
    epochs=15,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
