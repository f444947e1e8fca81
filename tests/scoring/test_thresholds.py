"""The threshold between two classes: scikit-learn's, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import TunedThresholdClassifierCV

from tuning import Maximize, Minimize
from tuning.errors import StudyError
from tuning.scoring.metrics import score
from tuning.scoring.thresholds import check_threshold, tuned_threshold


class Fitted(ClassifierMixin, BaseEstimator):
    """A classifier whose probability is its only feature."""

    def __init__(self):
        self.classes_ = np.array([0, 1])

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.hstack([1 - X, X])


def rare(seed, n=300):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.1).astype(int)
    return y, np.clip(0.1 + 0.2 * y + 0.1 * rng.normal(size=n), 0.001, 0.999)[:, None]


@pytest.mark.parametrize(
    "name", ["f1", "balanced_accuracy", "accuracy", "matthews_corrcoef", "precision"]
)
def test_it_is_that_of_scikit_learn(name):
    for seed in range(3):
        y, chances = rare(seed)
        peer = TunedThresholdClassifierCV(Fitted(), scoring=name, cv="prefit", refit=False)
        expected = peer.fit(chances, y).best_threshold_
        tuned = tuned_threshold(Maximize(f"val_{name}"), "binary", y, chances)
        assert tuned == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("objective", [Maximize("val_auc"), Minimize("val_loss")])
def test_where_the_objective_looks_at_no_class_balanced_accuracy_decides(objective):
    y, chances = rare(4)
    balanced = tuned_threshold(Maximize("val_balanced_accuracy"), "binary", y, chances)
    assert tuned_threshold(objective, "binary", y, chances) == balanced


def test_it_finds_what_half_the_probability_misses():
    y, chances = rare(5)
    tuned = tuned_threshold(Maximize("val_f1"), "binary", y, chances)
    assert score("f1", "binary", y, chances) < 0.1
    assert score("f1", "binary", y, chances, threshold=tuned) > 0.4


def test_weights_move_it():
    y, chances = rare(6)
    heavy = np.where(y == 1, 50.0, 1.0)
    plain = tuned_threshold(Maximize("val_accuracy"), "binary", y, chances)
    assert tuned_threshold(Maximize("val_accuracy"), "binary", y, chances, heavy) < plain


def test_a_model_that_says_the_same_of_all_rows_keeps_one_half():
    assert tuned_threshold(Maximize("val_f1"), "binary", np.array([0, 1]), np.ones((2, 1))) == 0.5


def test_a_threshold_between_more_than_two_classes_is_refused():
    check_threshold(None, "multiclass")
    with pytest.raises(StudyError) as refused:
        check_threshold("tuned", "multiclass")
    assert str(refused.value) == (
        "threshold: threshold='tuned' parts two classes, the data are multiclass; leave it out"
    )
