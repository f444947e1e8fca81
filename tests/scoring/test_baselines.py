"""Baselines by task: what a winner must beat."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Perceptron

from tuning.scoring.baselines import baselines, scores
from tuning.trainer.train import Rows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3)).astype(np.float32)
LINE = X @ np.array([1.0, -2.0, 0.5])


def of(task, y):
    rows = Rows(X[:150], y[:150])
    return scored(task, rows, y[150:])


def scored(task, rows, truth):
    predictions = baselines(task, rows, X[150:], truth)
    return {name: scores(task, truth, predicted) for name, predicted in predictions.items()}


def test_two_classes_have_a_dummy_a_line_and_the_perceptron_of_scikit_learn():
    y = (LINE + RNG.normal(size=200) > 0).astype(np.float32)
    by_name = of("binary", y)
    assert set(by_name) == {"dummy", "linear", "perceptron"}
    assert by_name["dummy"]["accuracy"] == max(y[150:].mean(), 1 - y[150:].mean())
    for name, peer in (("linear", LogisticRegression()), ("perceptron", Perceptron())):
        peer.fit(X[:150], y[:150])
        assert by_name[name]["accuracy"] == pytest.approx(peer.score(X[150:], y[150:]))
    assert 0.5 < by_name["perceptron"]["auc"] <= 1


@pytest.mark.parametrize(
    ("task", "y", "metric"),
    [
        ("multiclass", np.digitize(LINE, [-1, 1]), "accuracy"),
        ("multilabel", np.column_stack([LINE > 0, X[:, 0] > 1]).astype(np.float32), "accuracy"),
        ("regression", LINE, "r2"),
        ("regression", np.column_stack([LINE, -LINE]), "r2"),
    ],
    ids=["classes", "labels", "number", "two numbers"],
)
def test_the_others_have_a_dummy_and_a_line_that_is_better(task, y, metric):
    by_name = of(task, y)
    assert set(by_name) == {"dummy", "linear"}
    assert by_name["linear"][metric] > by_name["dummy"][metric] + 0.2


def test_a_class_that_no_training_row_has_gets_no_share_and_the_others_keep_their_columns():
    y = np.digitize(LINE, [-1, 1])
    others = np.flatnonzero(y[:150] != 1)
    rows = Rows(X[others], y[others])
    by_name = scored("multiclass", rows, y[150:])
    peer = LogisticRegression().fit(X[others], y[others])
    assert by_name["linear"]["accuracy"] == pytest.approx(peer.score(X[150:], y[150:]))
    assert by_name["linear"]["auc"] > 0.5
