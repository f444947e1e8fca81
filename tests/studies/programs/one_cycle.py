"""One cycle of the learning rate, set before each batch by a callback."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Choice, Dataset, Float, Minimize, Study


class OneCycle(keras.callbacks.Callback):
    def __init__(self, lr_max: float, steps: int) -> None:
        super().__init__()
        self.lr_max, self.steps, self.step = lr_max, steps, 0

    def on_train_batch_begin(self, batch, logs=None):
        middle = self.steps / 2
        share = 1 - abs(self.step - middle) / middle
        self.model.optimizer.learning_rate = self.lr_max * max(share, 0.02)
        self.step += 1


def plane() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    y = X[:, 0] - np.tanh(X[:, 1]) + 0.1 * rng.normal(size=240)
    return Dataset("plane", X, y, "regression")


def net(n_units: int = 8) -> keras.Model:
    hidden = keras.layers.Dense(n_units, activation="tanh")
    model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def cycle(epochs: int, steps_per_epoch: int, lr_max: float = 0.1) -> list[OneCycle]:
    return [OneCycle(lr_max, epochs * steps_per_epoch)]


STUDY = Study(
    name="one_cycle",
    builder=net,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"n_units": Choice(4, 8), "lr_max": Float(0.1, 0.3)},
    callbacks=cycle,
    trials=2,
    epochs=8,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
