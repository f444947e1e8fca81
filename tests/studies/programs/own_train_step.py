"""A model that trains by a step of its own: gradients are clipped by their common norm."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tuning import Choice, Dataset, Float, Minimize, Study


class Clipped(keras.Sequential):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 0.5)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


def plane() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    y = X[:, 0] - np.tanh(X[:, 1]) + 0.1 * rng.normal(size=240)
    return Dataset("plane", X, y, "regression")


def clipped_net(n_units: int = 8, lr: float = 0.05) -> keras.Model:
    hidden = keras.layers.Dense(n_units, activation="tanh")
    model = Clipped([keras.Input((4,)), hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


STUDY = Study(
    name="own_train_step",
    builder=clipped_net,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"n_units": Choice(4, 8), "lr": Float(0.05, 0.1)},
    trials=2,
    epochs=12,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
