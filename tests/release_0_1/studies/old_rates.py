"""A study as release 0.1 knew it; tests go on with the searches that it left."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Choice, Dataset, Int, Minimize, Study


def small_data() -> Dataset:
    """Return 96 rows of three numbers and a smooth target."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(96, 3)).astype("float32")
    y = (X[:, 0] - 2 * X[:, 1] + 0.5 * X[:, 2] ** 2).astype("float32")
    return Dataset("small", X, y, task="regression")


def build_model(n_neurons=4, lr=1e-2, optimizer="sgd", momentum=0.0, input_shape=(3,)):
    """Return a network of one hidden layer."""
    model = keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Dense(n_neurons, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    rule = keras.optimizers.SGD(lr, momentum) if optimizer == "sgd" else keras.optimizers.Adam(lr)
    model.compile(optimizer=rule, loss="mse")
    return model


STUDY = Study(
    name="old_rates",
    builder=build_model,
    data=small_data,
    objective=Minimize("val_rmse"),
    space={
        "n_neurons": Int(2, 8, step=2),
        "lr": "from_range_test",
        "optimizer": Choice("sgd", "adam"),
        "batch_size": Choice(8, 16),
    },
    trials=3,
    epochs=3,
    top_k=2,
    seeds=2,
    seed=7,
)
