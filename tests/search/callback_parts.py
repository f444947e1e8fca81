"""A study with callbacks that learn, for whole searches that are killed in the middle of a trial.

As a script it runs the study, without a writer.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from tests.search.run_parts import NoWriter
from tuning import Dataset, Float, Minimize, Study

FILE = Path(__file__)


def build(lr: float = 0.05):
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(lr), "mean_squared_error")
    return model


def plane() -> Dataset:
    X = np.random.default_rng(0).normal(size=(200, 2))
    return Dataset("plane", X, X.sum(axis=1), "regression")


def callbacks():
    """Return a rate that falls, and what waits at the fifth epoch while there is a gate."""
    import keras

    from tuning.trials import checkpoint

    checkpoint.KEEP_EVERY_S = 0.0  # it is a minute, in which this study ends a hundred times

    class AtTheGate(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            traces = Path(os.environ.get("TRACES", "nowhere"))
            if epoch != 4 or not (traces / "gate").exists():
                return
            (traces / "waits").touch()
            until = time.monotonic() + 60
            while (traces / "gate").exists() and time.monotonic() < until:
                time.sleep(0.02)

    falling = keras.callbacks.ReduceLROnPlateau(
        "val_rmse", factor=0.5, patience=1, min_delta=10.0, mode="min"
    )
    return [falling, AtTheGate()]


STUDY = Study(
    name="falling",
    builder=build,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"lr": Float(1e-3, 1e-1, log=True)},
    callbacks=callbacks,
    engine="optuna:random",
    trials=2,
    epochs=8,
    batch_size=64,
    top_k=1,
    seeds=1,
    seed=3,
)


if __name__ == "__main__":
    import tuning.search.run

    tuning.search.run.Writer = NoWriter
    tuning.search.run.run_study(FILE)
