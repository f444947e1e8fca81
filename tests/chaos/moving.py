"""A study for slots that come and go: it says itself who computes where, and each epoch it trains.

In the folder `TRACES`: `device-GPU-0` is locked by the process that computes there, for its life;
`collisions` has a line for each that found it locked. Beside a trial's files, `callbacks-0/epochs`
has a line for each beginning of a fit and each epoch, with the process.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import keras
import numpy as np

from tuning import Choice, Dataset, Float, Minimize, Study

EPOCH_S = 0.02
_locks = []  # open for the life of the process


def build(n: int = 2, lr: float = 0.01):
    """Take the device, then return one hidden layer."""
    _take(os.environ["CUDA_VISIBLE_DEVICES"])
    layers = [keras.Input((2,)), keras.layers.Dense(n, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(lr), "mean_squared_error")
    return model


def _take(device: str) -> None:
    # The engine's process builds too, and computes nowhere.
    if device == "-1" or _locks or "TRACES" not in os.environ:
        return
    folder = Path(os.environ["TRACES"])
    file = open(folder / f"device-{device}", "a")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with open(folder / "collisions", "a") as collisions:
            collisions.write(f"{os.getpid()} found another on {device}\n")
    file.write(f"{os.getpid()}\n")
    file.flush()
    _locks.append(file)


class Traced(keras.callbacks.Callback):
    """Writes down what is trained."""

    knows_only_its_model = True  # trained as without it, in machine code

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "epochs"

    def on_train_begin(self, logs=None):
        """Note that an attempt begins."""
        self._write("begin")

    def on_epoch_end(self, epoch, logs=None):
        """Note an epoch, from 1; then wait, so that many trials share few cores."""
        self._write(str(epoch + 1))
        time.sleep(EPOCH_S)

    def _write(self, word: str) -> None:
        with open(self.path, "a") as file:  # one write: whole, or not there
            file.write(f"{os.getpid()} {word}\n")


def traced(folder: Path) -> list[keras.callbacks.Callback]:
    """Return the callbacks of a fit."""
    return [Traced(folder)]


def plane() -> Dataset:
    """Return 200 rows."""
    X = np.random.default_rng(0).normal(size=(200, 2))
    return Dataset("plane", X, X.sum(axis=1), "regression")


STUDY = Study(
    name="moving",
    builder=build,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"n": Choice(2, 3, 4), "lr": Float(1e-3, 1e-1, log=True)},
    callbacks=traced,
    engine="optuna:random",
    trials=200,
    epochs=60,
    patience=None,
    batch_size=64,
    top_k=2,
    seeds=2,
    seed=3,
    attempts=1000,
)
