"""What the tests of whole runs share: a study whose builder leaves traces, a driver to be killed,
no MLflow.

As a script: `python -m tests.search.run_parts <engine> [field=value …]` runs the study, without a
writer.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from tuning import Choice, Dataset, Float, Minimize, Study
from tuning.tracking.writer.handle import Report

FILE = Path(__file__)


def build(n: int = 2, lr: float = 0.01):
    """Leave a line for each model that a worker builds, then wait while there is a gate."""
    import keras

    device = os.environ["CUDA_VISIBLE_DEVICES"]
    if device != "-1" and "TRACES" in os.environ:  # the engine process has -1
        traces = Path(os.environ["TRACES"])
        with open(traces / "builds", "a") as file:
            file.write(json.dumps({"n": n, "lr": lr, "device": device, "pid": os.getpid()}) + "\n")
        until = time.monotonic() + 30
        while (traces / "gate").exists() and time.monotonic() < until:
            time.sleep(0.02)
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(n, activation="relu"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(lr), "mean_squared_error")
    return model


def plane() -> Dataset:
    X = np.random.default_rng(0).normal(size=(200, 2))
    return Dataset("plane", X, X.sum(axis=1), "regression", unit="m")


STUDY = Study(
    name="traces",
    builder=build,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"n": Choice(2, 3, 4), "lr": Float(1e-3, 1e-1, log=True)},
    engine="optuna:random",
    trials=4,
    epochs=2,
    batch_size=64,
    top_k=1,
    seeds=1,
    seed=3,
)


class NoWriter:
    """Stands in for the writer process; the files are the truth."""

    folder = None

    @classmethod
    def start(cls, home):
        return cls()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def begin(self, folder):
        self.folder = folder

    def notify(self):
        pass

    def finish(self, timeout_s, **_):
        return []

    def progress(self):
        return Report()


def builds(traces: Path) -> list[dict]:
    """Return what was built so far."""
    file = traces / "builds"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def options_of(engine: str, source: str | None = None, **changes):
    """Return options as the command line would make them."""
    from tuning.search.options import RunOptions

    return RunOptions(variant={"engine": engine}, budget=changes, source=source)


if __name__ == "__main__":
    import tuning.search.run

    tuning.search.run.Writer = NoWriter
    changes = dict(word.split("=") for word in sys.argv[2:])
    source = changes.pop("from", None)
    budget = {name: json.loads(value) for name, value in changes.items()}
    tuning.search.run.run_study(FILE, options_of(sys.argv[1], source, **budget))
