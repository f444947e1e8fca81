"""A study file that trains in milliseconds, and the searches of it."""

from __future__ import annotations

import pytest

import tuning.search.run
from tests.search.run_parts import NoWriter
from tuning.search.options import RunOptions
from tuning.search.run import run_study

STUDY = """
import keras
import numpy as np

from tuning import Choice, Dataset, Int, Minimize, Study


def build_model(n_neurons=2, lr=0.1, input_shape=(2,)):
    layers = [keras.layers.Dense(n_neurons, "tanh"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input(input_shape), *layers])
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


def data():
    X = np.random.default_rng(DATA_SEED).normal(size=(60, 2))
    return Dataset("sums", X, X.sum(axis=1), "regression")


STUDY = Study(
    name="tiny",
    builder=build_model,
    data=data,
    objective=Minimize("val_rmse"),
    space={"n_neurons": Int(1, 3), "lr": Choice(0.003, 0.01, 0.03, 0.1)},
    engine="optuna:random",
    trials=4,
    epochs=4,
    top_k=1,
    seeds=2,
    seed=3,
)
"""


@pytest.fixture
def searched(tmp_path, monkeypatch, forkserver):
    """Return a function that searches the study into a state folder of this name."""
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE", "TUNING_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    write_study(tmp_path)

    def searched(name="home", **variant):
        home = tmp_path / name
        budget = {"trials": variant.pop("trials", 4)}
        options = RunOptions(
            home=str(home), devices="cpu:1", deterministic=True, variant=variant, budget=budget
        )
        run_study(tmp_path / "tiny.py", options, None, forkserver)
        return home

    return searched


def write_study(folder, data_seed=0):
    """Write the study, with other rows for another seed."""
    (folder / "tiny.py").write_text(STUDY.replace("DATA_SEED", str(data_seed)))
