"""Whole searches for several objectives: front, knee, finals, and how MLflow shows them."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import tuning.search.run
from tests.search.run_parts import NoWriter
from tuning import Choice, Dataset, Minimize, Study
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.storage.durable import read_json
from tuning.tracking.writer.project import Projection

BOTH = [Minimize("val_rmse"), Minimize("n_parameters")]


def plane() -> Dataset:
    X = np.random.default_rng(0).normal(size=(80, 2))
    return Dataset("plane", X, X.sum(axis=1) ** 2, "regression")


def net(n_units: int = 2) -> keras.Model:
    hidden = keras.layers.Dense(n_units, "tanh")
    model = keras.Sequential([keras.Input((2,)), hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    return model


def study(**changes) -> Study:
    settings = {
        "name": "both",
        "builder": net,
        "data": plane,
        "objectives": BOTH,
        "space": {"n_units": Choice(1, 16)},
        "engine": "optuna:grid",
        "epochs": 6,
        "batch_size": 16,
        "top_k": 2,
        "seeds": 1,
        "seed": 3,
    }
    return Study(**{**settings, **changes})


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("HOME", "LEASES"):
        monkeypatch.setenv(f"TUNING_{name}", str(tmp_path / name.lower()))
    for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    return tmp_path / "home"


def searched(home: Path, defined: Study, forkserver):
    """Run a search in this process; return its summary and its folder."""
    options = RunOptions(executor="inprocess", devices="cpu")
    summary = run_study(defined, options, None, forkserver)
    (winner,) = home.glob("ledger/*/*/winner.json")
    return summary, winner.parent


def shown(home: Path, folder: Path):
    """Return the search's run in MLflow on SQLite, and those of its finalists."""
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{home / 'mlflow.db'}"
    projection = Projection(folder, home, uri, f"sqlite:///{home / 'optuna.db'}")
    projection.drain(60)
    assert projection.ended
    client = MlflowClient(tracking_uri=uri)
    report = projection.report(final=True)
    runs = client.search_runs([report.experiment_id], "tags.kind = 'finalist'")
    return client.get_run(report.run_id), runs


def check_ledger(summary, folder: Path):
    """Check the files of a search; return its front and its winner."""
    front = read_json(folder / "artifacts" / "pareto.json")
    trials = {trial["number"]: trial["values"] for trial in front["front"]}
    assert sorted(trials) == [0, 1]  # the smaller one is worse, the larger one better
    small, large = sorted(trials.values(), key=lambda values: values["n_parameters"])
    assert (small["n_parameters"], large["n_parameters"]) == (5, 65)
    assert large["val_rmse"] < small["val_rmse"]
    winner = read_json(folder / "winner.json")
    assert len(winner["finalists"]) == 2
    for finalist in winner["finalists"]:
        assert len(finalist["figures"]) == len(finalist["seeds"])
        for figures in finalist["figures"]:
            assert figures["n_parameters"] == trials[finalist["number"]]["n_parameters"]
    assert summary.winner.number in trials
    assert summary.test["rmse"] > 0

    return front, winner


def check_mlflow(home: Path, folder: Path, front, winner) -> None:
    run, finalists = shown(home, folder)
    told = [
        f"{number} (knee)" if number == front["knee"] else str(number)
        for number in [each["number"] for each in front["front"]]
    ]
    assert run.data.tags["pareto"] == ", ".join(told)
    assert int(run.data.tags["pareto_knee"]) == front["knee"]
    assert 0 <= float(run.data.tags["pareto_hypervolume"]) <= 1
    assert len(finalists) == sum(len(each["seeds"]) for each in winner["finalists"])
    assert run.data.metrics["test_rmse"] == pytest.approx(winner["test"]["rmse"])


def test_front_knee_and_finals_are_in_the_ledger(home, forkserver):
    check_ledger(*searched(home, study(), forkserver))


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"cv": 2, "seeds": 2}], ids=["one fit", "folds"])
def test_mlflow_shows_front_knee_and_finalists(home, forkserver, changes):
    summary, folder = searched(home, study(**changes), forkserver)
    front, winner = check_ledger(summary, folder)
    check_mlflow(home, folder, front, winner)
