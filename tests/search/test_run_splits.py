"""Whole searches: of a series, whose windows are searched, and of groups under scikit-learn's own
class.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.model_selection import GroupKFold

import tuning.search.run
from tests.search.run_parts import NoWriter
from tuning import Choice, Dataset, Float, Minimize, Study
from tuning.ledger.search import SearchFiles
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.space.space import Space

WINDOWS = Space({"window": Choice(4, 12)})
SERIES = np.sin(np.arange(160) / 5.0)


def windows(window: int = 4) -> Dataset:
    starts = np.arange(len(SERIES) - window)
    X = SERIES[starts[:, None] + np.arange(window)]
    spans = np.column_stack([starts, starts + window])
    return Dataset("series", X, SERIES[starts + window], "regression", time=spans)


def grouped() -> Dataset:
    X = np.random.default_rng(0).normal(size=(120, 3))
    return Dataset("grouped", X, X.sum(axis=1), "regression", groups=np.arange(120) // 6)


def line(lr: float = 0.05, input_shape: tuple[int, ...] = (4,)) -> keras.Model:
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


@pytest.fixture
def searched(tmp_path, monkeypatch, forkserver):
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))

    def searched(**fields):
        settings = {"builder": line, "objective": Minimize("val_rmse"), "top_k": 1, "seeds": 1}
        study = Study(name="split", seed=1, **{**settings, **fields})
        summary = run_study(study, RunOptions(devices="cpu:1"), None, forkserver)
        (header,) = (tmp_path / "home").glob("ledger/*/*/search.json")
        return summary, SearchFiles(header.parent)

    return searched


@pytest.mark.slow
def test_windows_of_a_series_are_searched_and_the_winner_knows_all_before_the_test_part(searched):
    summary, files = searched(
        data=windows,
        space=WINDOWS,
        engine="optuna:grid",
        trials=2,
        epochs=6,
        patience=3,
    )
    assert summary.status in ("completed", "exhausted")
    for number in (0, 1):
        window = files.proposal(number, WINDOWS).params["window"]
        assert files.result(number).data_digest == windows(window).digest

    winner = files.winner
    window = winner.standing.params["window"]
    model = keras.saving.load_model(winner.evaluation.model)
    assert model.input_shape == (None, window)
    assert winner.standing.weights  # of the validation's fit, not of the winner
    assert "rmse" in winner.evaluation.test


def test_a_splitter_with_groups_under_scikit_learns_own_class(searched):
    _, files = searched(
        data=grouped,
        space={"lr": Float(0.01, 0.1)},
        engine="gridsearchcv",
        trials=2,
        epochs=2,
        patience=1,
        cv=GroupKFold(4),
    )
    assert [len(files.result(number).folds) for number in (0, 1)] == [4, 4]
    assert files.winner.standing.mean is not None
