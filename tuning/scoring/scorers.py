"""scikit-learn's scorers and users' own functions, on predictions that we have already."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tuning.data.dataset import Array, Task
from tuning.scoring.case import Case, case_of
from tuning.study.scorer_internals import accepts_weights, is_scorer

_EXAMPLES: dict[Task, tuple[Array, Array]] = {
    "regression": (np.array([1.5, 2.25, 4.0, 3.5]), np.array([1.0, 2.5, 3.0, 4.5])),
    "binary": (np.array([0, 1, 1, 0, 1, 0]), np.array([0.2, 0.7, 0.4, 0.6, 0.9, 0.1])),
    "multiclass": (
        np.array([0, 1, 2, 0, 1, 2]),
        np.array([[6, 3, 1], [2, 7, 1], [1, 2, 7], [3, 5, 2], [1, 8, 1], [2, 2, 6]]) / 10,
    ),
    "multilabel": (
        np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 0]]),
        np.array([[2, 7, 6], [8, 4, 3], [7, 9, 1], [4, 6, 2]]) / 10,
    ),
}
"""A few rows of each task, for which every metric that fits has a value."""


def scorer_named(name: str) -> Any:
    """Return a scorer of scikit-learn's; None where none has the name."""
    from sklearn.metrics import get_scorer, get_scorer_names

    return get_scorer(name) if name in get_scorer_names() else None


def fits(scorer: Any, task: Task) -> bool:
    """Whether a scorer has a value for a few rows of a task, without a word of warning."""
    case = case_of(task, *_EXAMPLES[task])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # "expects discrete values"
        try:
            return math.isfinite(_score(scorer, case))
        except (ValueError, AttributeError, UserWarning):  # it asks for what the task has not
            return False


def by_named_scorer(scorer: Any, case: Case) -> float:
    """Return what a scorer of scikit-learn's says of predictions; NaN where it has no value.

    For example where a class is not there.
    """
    try:
        return by_scorer(scorer, case)
    except ValueError:
        return math.nan


def by_scorer(scorer: Any, case: Case) -> float:
    """Return what a scorer says of predictions.

    Raises:
        ValueError: scikit-learn's, where the metric has no value or does not fit the task.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a metric without a value is NaN, and told as that
        return _score(scorer, case)


def _score(scorer: Any, case: Case) -> float:
    arguments: dict[str, Any] = {}
    if case.weight is not None and accepts_weights(scorer):
        arguments["sample_weight"] = case.weight
    rows = np.arange(len(case.truth))[:, None]
    return float(scorer(_stand_in(case), rows, _shaped(case.truth, case.task), **arguments))


def by_function(function: Callable[..., Any], case: Case) -> float:
    """Return what a function of the user's own says of truth and predictions.

    Args:
        function: A scorer, or `(y_true, y_pred)` with class numbers, labels or numbers, `(rows,)`
            where there is one column; one that takes `sample_weight` gets it where there is one.
        case: Predictions.
    """
    if is_scorer(function):
        return by_scorer(function, case)
    truth = _shaped(case.truth, case.task)
    answers = _shaped(case.answers, case.task)
    if case.weight is not None and takes_weights(function):
        return float(function(truth, answers, sample_weight=case.weight))
    return float(function(truth, answers))


def takes_weights(function: Callable[..., Any]) -> bool:
    """Whether a function names `sample_weight` among its arguments."""
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins have no signature
        return False


def _shaped(values: Array, task: Task) -> Array:
    """Return values as scikit-learn has them: `(rows,)` where there is one column."""
    if task in ("binary", "multiclass"):
        values = values.astype(int)
    return values[:, 0] if values.shape[1] == 1 else values


def _stand_in(case: Case) -> Any:
    """Return a fitted estimator that predicts what has been predicted."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class Predicted:
        def __sklearn_is_fitted__(self) -> bool:
            return True

        def predict(self, X: Array) -> Array:
            return _shaped(case.answers, case.task)

    class Regressor(Predicted, RegressorMixin, BaseEstimator):  # type: ignore[misc]
        pass

    class Classifier(Predicted, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        classes_: Any = np.arange(case.probabilities.shape[1])

        def predict_proba(self, X: Array) -> Array:
            return case.probabilities

        def decision_function(self, X: Array) -> Array:
            return case.probabilities[:, 1] if case.task == "binary" else case.probabilities

    if case.task == "regression":
        return Regressor()
    classifier = Classifier()
    if case.task == "multilabel":
        classifier.classes_ = [np.array([0, 1])] * case.truth.shape[1]
    return classifier
