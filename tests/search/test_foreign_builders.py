"""Whole searches over builders of other libraries, word for word, in real processes."""

from __future__ import annotations

import pytest

import tuning.search.run
from tests.search.run_parts import NoWriter, options_of
from tuning.search.run import run_study

FILE = """
import keras
import keras_tuner as kt
import numpy as np
from tuning import Dataset, Minimize, Study


def data():
    X = np.random.default_rng(0).normal(size=(48, 4))
    return Dataset("rows", X, X.sum(axis=1), "regression")


def build_model(hp):
    model = keras.Sequential([keras.Input((4,))])
    for i in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Int(f"units_{i}", 4, 8, step=4)))
    model.add(keras.layers.Dense(1))
    rate = hp.Float("lr", 1e-3, 1e-1, sampling="log", default=1e-2)
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


class Hyper(kt.HyperModel):
    def build(self, hp):
        return build_model(hp)

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("batch_size", [8, 16]), **kwargs)


class TwoFits(Hyper):
    def fit(self, hp, model, *args, **kwargs):
        model.layers[0].trainable = False
        model.compile(keras.optimizers.Adam(hp.get("lr")), "mse")
        model.fit(*args, **kwargs)
        model.layers[0].trainable = True
        model.compile(keras.optimizers.Adam(1e-3), "mse")
        return model.fit(*args, **kwargs)


def build(trial):
    deep = trial.suggest_categorical("deep", [True, False])
    units = trial.suggest_categorical("units", [2, 4] if deep else [8, 16])
    hidden = [keras.layers.Dense(units) for _ in range(2 if deep else 1)]
    model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(1)])
    rate = trial.suggest_float("optimizer__lr", 1e-3, 1e-1, log=True)
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


STUDY = Study(name="foreign", builder=BUILDER, data=data, objective=Minimize("val_rmse"),
              trials=2, epochs=2, top_k=1, seeds=1)
"""


@pytest.mark.parametrize(
    ("builder", "engine"),
    [
        ("build_model", "optuna:tpe"),
        ("Hyper", "gridsearchcv"),
        pytest.param("build", "keras-tuner:random", marks=pytest.mark.slow),
        pytest.param("build_model", "keras-tuner:bayesian", marks=pytest.mark.slow),
        pytest.param("build_model", "gridsearchcv", marks=pytest.mark.slow),
        pytest.param("Hyper", "optuna:tpe", marks=pytest.mark.slow),
        pytest.param("Hyper", "keras-tuner:bayesian", marks=pytest.mark.slow),
        pytest.param("build", "gridsearchcv", marks=pytest.mark.slow),
        pytest.param("TwoFits", "optuna:tpe", marks=pytest.mark.slow),
    ],
)
def test_a_builder_of_another_library_is_searched_word_for_word(
    builder, engine, tmp_path, monkeypatch, forkserver
):
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUNING_DEVICES", "a")
    file = tmp_path / f"foreign_{builder}.py"
    file.write_text(FILE.replace("BUILDER", builder), encoding="utf-8")

    options = options_of(engine, trials=2)
    summary = run_study(str(file), options, None, forkserver)
    assert (summary.status, summary.counts["completed"]) == ("completed", 2)
    names = set(summary.winner.params)
    assert names >= ({"deep", "units"} if builder == "build" else {"layers", "units_0", "lr"})
