"""A rare class: weights for it in training, and average precision instead of accuracy."""

from __future__ import annotations

import keras
from sklearn.datasets import make_classification

from tuning import Choice, Dataset, Float, Maximize, Study


def rare() -> Dataset:
    X, y = make_classification(
        600, 6, n_informative=4, weights=[0.93], class_sep=1.2, random_state=0
    )
    return Dataset("rare", X, y, "binary")


def mlp(n_units: int = 8, lr: float = 0.01) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(n_units, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(lr), "binary_crossentropy")
    return model


STUDY = Study(
    name="imbalanced",
    builder=mlp,
    data=rare,
    objective=Maximize("val_average_precision"),
    space={"n_units": Choice(8, 16), "lr": Float(0.005, 0.02, log=True)},
    class_weight="balanced",
    trials=2,
    epochs=15,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
