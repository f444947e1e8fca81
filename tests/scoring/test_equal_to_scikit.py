"""Every metric equals scikit-learn's own function, on every task where it means something."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
from sklearn import metrics as peers

from tuning.data.dataset import TASKS
from tuning.scoring import catalog
from tuning.scoring.case import case_of
from tuning.scoring.metrics import fitting, score
from tuning.study.objective import SCORERS, direction_of

ROWS = 60
SEEDS = range(4)


def softmax(values):
    powers = np.exp(values)
    return powers / powers.sum(axis=1, keepdims=True)


def example(task, seed):
    """Return y and predictions, with equal predictions among them and one class left out."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        y = rng.gamma(2.0, size=ROWS)
        return y, np.round(y * rng.gamma(5.0, 0.2, ROWS) + 0.01, 2)[:, None]
    if task == "binary":
        y = (rng.random(ROWS) < 0.3).astype(int)
        return y, np.round(np.clip(0.3 * y + 0.7 * rng.random(ROWS), 0, 1), 1)[:, None]
    if task == "multiclass":
        y = rng.integers(0, 3 + seed % 2, ROWS)
        return y, softmax(np.round(rng.normal(size=(ROWS, 4)) + 1.5 * np.eye(4)[y], 1))
    y = (rng.random((ROWS, 3)) < 0.4).astype(int)
    return y, np.round(np.clip(0.3 * y + 0.7 * rng.random((ROWS, 3)), 0, 1), 1)


def average_precision(y, p, sample_weight=None):
    if y.ndim == 1 and p.ndim == 2:
        y = np.eye(4)[y]
        there = y.any(axis=0)
        y, p = y[:, there], p[:, there]
    return peers.average_precision_score(y, p, sample_weight=sample_weight)


def auc(y, p, sample_weight=None):
    if y.ndim == 1 and p.ndim == 2:
        y = np.eye(4)[y]
        there = y.any(axis=0)
        y, p = y[:, there], p[:, there]
    return peers.roc_auc_score(y, p, sample_weight=sample_weight)


def brier(y, p, sample_weight=None):
    labels = None if p.ndim == 1 else np.arange(4)
    return peers.brier_score_loss(y, p, sample_weight=sample_weight, labels=labels)


def log_loss(y, p, sample_weight=None):
    labels = np.arange(2 if p.ndim == 1 else 4)
    return peers.log_loss(y, p, sample_weight=sample_weight, labels=labels)


def without_weights(function):
    return lambda y, p, sample_weight=None: function(y, p)


def top(y, p, sample_weight, k):
    return peers.top_k_accuracy_score(y, p, k=k, labels=np.arange(4), sample_weight=sample_weight)


NUMBERS = {
    "rmse": peers.root_mean_squared_error,
    "mae": peers.mean_absolute_error,
    "r2": peers.r2_score,
    "mse": peers.mean_squared_error,
    "mape": peers.mean_absolute_percentage_error,
    "medae": peers.median_absolute_error,
    "max_error": without_weights(peers.max_error),
    "msle": peers.mean_squared_log_error,
    "rmsle": peers.root_mean_squared_log_error,
    "explained_variance": peers.explained_variance_score,
    "poisson_deviance": peers.mean_poisson_deviance,
    "gamma_deviance": peers.mean_gamma_deviance,
    "pinball": peers.mean_pinball_loss,
    "pinball_0.9": functools.partial(peers.mean_pinball_loss, alpha=0.9),
}
CLASSES = {
    "accuracy": peers.accuracy_score,
    "balanced_accuracy": peers.balanced_accuracy_score,
    "mcc": peers.matthews_corrcoef,
    "cohen_kappa": peers.cohen_kappa_score,
}
for _average in catalog.AVERAGES:
    _ending = "" if _average == "binary" else f"_{_average}"
    CLASSES[f"precision{_ending}"] = functools.partial(peers.precision_score, average=_average)
    CLASSES[f"recall{_ending}"] = functools.partial(peers.recall_score, average=_average)
    for _beta in ("1", "2", "0.5"):
        CLASSES[f"f{_beta}{_ending}"] = functools.partial(
            peers.fbeta_score, beta=float(_beta), average=_average
        )
CHANCES = {
    "auc": auc,
    "average_precision": average_precision,
    "log_loss": log_loss,
    "brier": brier,
    "top_1_accuracy": functools.partial(top, k=1),
    "top_2_accuracy": functools.partial(top, k=2),
    "top_5_accuracy": None,  # of four classes it is always 1
}


def peer_value(name, task, y, predicted, weight):
    case = case_of(task, y, predicted)
    if name in CHANCES:
        chances = predicted[:, 0] if task == "binary" else predicted
        return CHANCES[name](y, chances, sample_weight=weight)
    answers = case.answers[:, 0] if case.answers.shape[1] == 1 else case.answers
    return {**NUMBERS, **CLASSES}[name](y, answers, sample_weight=weight)


def cases():
    for task in TASKS:
        for name in (*NUMBERS, *CLASSES, *CHANCES):
            metric = catalog.find(name)
            if task in metric.tasks and CHANCES.get(name, "") is not None:
                yield task, name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(("task", "name"), list(cases()))
def test_a_metric_is_scikit_learns_to_the_twelfth_digit(task, name, weighted):
    for seed in SEEDS:
        y, predicted = example(task, seed)
        weight = np.random.default_rng(99).random(ROWS) if weighted else None
        expected = peer_value(name, task, y, predicted, weight)
        value = score(name, task, y, predicted, weight)
        assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_every_metric_that_is_offered_is_compared():
    compared = set(cases())
    for task in TASKS:
        for name in fitting(task):
            if name not in ("loss", "top_5_accuracy"):
                assert (task, name) in compared


def test_every_metric_that_is_offered_has_a_direction():
    assert all(direction_of(name) for task in TASKS for name in fitting(task))


def test_the_names_of_scorers_are_those_of_scikit_learn():
    assert set(peers.get_scorer_names()) == SCORERS


class Model:
    """What a scorer asks for its predictions."""

    def __init__(self, task, predicted):
        self._case = case_of(
            task, predicted if task != "multiclass" else predicted[:, 0], predicted
        )
        self._estimator_type = "regressor" if task == "regression" else "classifier"
        self.classes_ = np.arange(self._case.probabilities.shape[1])
        if task == "multilabel":
            self.classes_ = [np.array([0, 1])] * predicted.shape[1]

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        is_regressor = self._estimator_type == "regressor"
        return Tags(
            estimator_type=self._estimator_type,
            target_tags=TargetTags(required=True),
            classifier_tags=None if is_regressor else ClassifierTags(),
            regressor_tags=RegressorTags() if is_regressor else None,
        )

    def predict(self, X):
        answers = self._case.answers
        return answers[:, 0] if answers.shape[1] == 1 else answers

    def predict_proba(self, X):
        return self._case.probabilities


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(SCORERS))
def test_a_scorer_says_what_it_says_of_an_estimator(name):
    tasks = [task for task in TASKS if task in catalog.find(name).tasks]
    assert tasks
    scorer = peers.get_scorer(name)
    for task in tasks:
        y, predicted = example(task, seed=1)
        X = np.zeros((ROWS, 1))
        try:
            expected = scorer(Model(task, predicted), X, y)
        except ValueError:
            expected = np.nan
        metric = catalog.of_function(scorer, task) if np.isfinite(expected) else catalog.find(name)
        assert metric.compute(case_of(task, y, predicted)) == pytest.approx(
            expected, rel=1e-12, nan_ok=True
        )


def test_a_class_that_weighs_nothing_does_not_count():
    y, predicted = example("multiclass", seed=0)
    weight = (y != 2).astype(float)
    for name in ("auc", "average_precision"):
        assert np.isfinite(score(name, "multiclass", y, predicted, weight))


def test_what_has_no_value_is_nan_and_never_an_exception():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for task in TASKS:
            y, predicted = example(task, seed=0)
            for name in fitting(task):
                if name != "loss":
                    score(name, task, np.zeros_like(y), predicted)
                    score(name, task, y[:1], predicted[:1])
    assert np.isnan(score("auc", "binary", np.zeros(3), np.ones((3, 1))))
    assert np.isnan(score("average_precision", "binary", np.zeros(3), np.ones((3, 1))))
    assert np.isnan(score("gamma_deviance", "regression", np.ones(3), -np.ones((3, 1))))
    assert np.isnan(score("neg_mean_gamma_deviance", "regression", np.ones(3), -np.ones((3, 1))))
