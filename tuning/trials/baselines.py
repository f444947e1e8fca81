"""What a winner is compared with: a dummy, a linear model and, for two classes, scikit-learn's
`Perceptron`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tuning.data.dataset import Array, Task
from tuning.trainer.outputs import linked
from tuning.trials import metrics
from tuning.trials.worker_study import FoldRows


def scores(task: Task, y: Array, predicted: Array) -> dict[str, float]:
    """Return every task metric that has a value here (auc needs two classes)."""
    found = {}
    for name in metrics.fitting(task):
        if name == "loss" or (name == "auc" and len(np.unique(y)) < 2):
            continue
        found[name] = metrics.score(name, task, y, predicted)
    return found


def baselines(task: Task, rows: FoldRows, X_test: Array, y_test: Array) -> dict[str, Array]:
    """Fit the baselines on the training rows; return what they predict for the test rows, as a
    Keras model would.

    Args:
        task: Regression has a mean and least squares; the others the classes' shares and logistic
            regression, binary also the perceptron of the courses.
        rows: Those of the winner.
        X_test: Prepared as `rows` are.
        y_test: As the data set has it.
    """
    X, y = rows.train.X.reshape(len(rows.train.X), -1), rows.train.y
    flat_test = X_test.reshape(len(X_test), -1)
    n_classes = 2 if task == "binary" else int(max(y.max(), y_test.max())) + 1
    return {
        name: _probabilities(task, fitted.fit(X, y), flat_test, n_classes)
        for name, fitted in _models(task).items()
    }


def _models(task: Task) -> dict[str, Any]:
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
    from sklearn.multiclass import OneVsRestClassifier

    if task == "regression":
        return {"dummy": DummyRegressor(), "linear": LinearRegression()}
    dummy, logistic = DummyClassifier(strategy="prior"), LogisticRegression(max_iter=1000)
    if task == "multilabel":
        return {"dummy": dummy, "linear": OneVsRestClassifier(logistic)}
    return {"dummy": dummy, "linear": logistic} | (
        {"perceptron": Perceptron()} if task == "binary" else {}
    )


def _probabilities(task: Task, fitted: Any, X: Array, n_classes: int) -> Array:
    """Return predictions in the shape a Keras model of the task gives."""
    if task == "regression":
        return np.asarray(fitted.predict(X)).reshape(len(X), -1)
    if not hasattr(fitted, "predict_proba"):  # the perceptron knows a side, and how far away
        return linked("sigmoid", fitted.decision_function(X).reshape(-1, 1))
    found = fitted.predict_proba(X)
    if isinstance(found, list):  # a dummy on several labels
        ones = zip(found, fitted.classes_, strict=True)
        return np.stack(
            [p[:, list(c).index(1)] if 1 in c else np.zeros(len(X)) for p, c in ones], axis=1
        )
    if task == "multilabel":
        return np.asarray(found)
    whole = np.zeros(
        (len(X), n_classes)
    )  # scikit-learn has a column for each class of the training rows alone
    whole[:, np.asarray(fitted.classes_, int)] = found
    return whole[:, 1:] if task == "binary" else whole
