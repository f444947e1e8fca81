"""What a winner is compared with: a dummy, a linear model, for two classes also a perceptron."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuning.data.arrays import Array, only
from tuning.data.dataset import Task
from tuning.scoring import metrics
from tuning.trainer.outputs import linked
from tuning.trainer.train import Rows


def scores(task: Task, y: Array, predicted: Array) -> dict[str, float]:
    """Return every task metric that has a value here (auc needs two classes)."""
    names = [name for name in metrics.fitting(task) if name != "loss"]
    if len(np.unique(y)) < 2 and "auc" in names:
        names.remove("auc")
    return {name: metrics.score(name, task, y, predicted) for name in names}


def baselines(task: Task, train: Rows, X_test: Array, y_test: Array) -> dict[str, Array]:
    """Fit the baselines on the training rows; return what they predict for the test rows.

    Args:
        task: Regression has a mean and least squares; the others the classes' shares and logistic
            regression, binary also the perceptron of the courses.
        train: The rows that the winner was trained on.
        X_test: Prepared as these are.
        y_test: As the data set has it.

    Returns:
        Predictions by the baseline's name, each as a Keras model of the task would give them.
    """
    X = _flat(only(train.X))
    y = only(train.y)
    X_test = _flat(X_test)

    # The test part may have a class that no training row has.
    n_classes = 2
    if task != "binary":
        n_classes = int(max(y.max(), y_test.max())) + 1

    predictions = {}
    for name, model in _models(task).items():
        model.fit(X, y)
        predictions[name] = _predict(task, model, X_test, n_classes)
    return predictions


def _flat(X: Array) -> Array:
    return X.reshape(len(X), -1)


def _models(task: Task) -> dict[str, Any]:
    """Return the estimators of a task by the names they have in reports."""
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
    from sklearn.multiclass import OneVsRestClassifier

    if task == "regression":
        return {"dummy": DummyRegressor(), "linear": LinearRegression()}

    dummy = DummyClassifier(strategy="prior")
    logistic = LogisticRegression(max_iter=1000)
    if task == "multilabel":
        return {"dummy": dummy, "linear": OneVsRestClassifier(logistic)}
    if task == "binary":
        return {"dummy": dummy, "linear": logistic, "perceptron": Perceptron()}
    return {"dummy": dummy, "linear": logistic}


def _predict(task: Task, model: Any, X: Array, n_classes: int) -> Array:
    """Return predictions in the shape a Keras model of the task gives."""
    if task == "regression":
        return np.asarray(model.predict(X)).reshape(len(X), -1)
    if not hasattr(model, "predict_proba"):  # the perceptron knows a side, and how far away
        return linked("sigmoid", model.decision_function(X).reshape(-1, 1))

    probabilities = model.predict_proba(X)
    if isinstance(probabilities, list):  # a dummy on several labels
        of_labels = []
        for columns, classes in zip(probabilities, model.classes_, strict=True):
            of_labels.append(_of_ones(columns, classes))
        return np.stack(of_labels, axis=1)
    if task == "multilabel":
        return np.asarray(probabilities)

    # scikit-learn has a column for each class of the training rows alone.
    of_all_classes = np.zeros((len(X), n_classes))
    class_numbers = np.asarray(model.classes_, int)
    of_all_classes[:, class_numbers] = probabilities
    if task == "binary":
        return of_all_classes[:, 1:]
    return of_all_classes


def _of_ones(columns: Array, classes: Array) -> Array:
    """Return the probability of class 1; a label that was never set has none."""
    if 1 not in classes:
        return np.zeros(len(columns))
    return columns[:, list(classes).index(1)]
