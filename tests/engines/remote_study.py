"""A study file for the tests of the engine process; `tuning` must be importable, nothing else."""

import os

import numpy as np

from tuning import Choice, Dataset, Float, Int, Minimize, Study


def build(n_hidden: int = 1, lr: float = 0.01):
    import keras

    layers = [keras.layers.Dense(4, activation="relu") for _ in range(n_hidden)]
    model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(lr), "mean_squared_error")
    return model


def plane() -> Dataset:
    X = np.random.default_rng(0).normal(size=(80, 2))
    return Dataset("plane", X, X.sum(axis=1), "regression", unit="m")


def devices() -> Dataset:
    X = np.random.default_rng(0).normal(size=(80, 2))
    return Dataset(
        "devices", X, X.sum(axis=1), "regression", unit=os.environ["CUDA_VISIBLE_DEVICES"]
    )


def no_data() -> Dataset:
    raise RuntimeError("the server is down")


def not_a_dataset():
    return 7


STUDY = Study(
    name="remote",
    builder=build,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"n_hidden": Int(0, 2), "lr": Float(1e-3, 1e-1, log=True), "batch_size": Choice(8, 16)},
    engine="optuna:tpe",
    pruner="median",
    trials=8,
    epochs=3,
)
