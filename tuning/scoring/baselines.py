"""What a winner is compared with: a dummy, a linear model, for two classes also a perceptron."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tuning.data.arrays import Array, Arrays, leaves, named, only
from tuning.data.dataset import Task, Tasks, task_of
from tuning.data.lazy import LazyArray
from tuning.scoring import metrics
from tuning.scoring.case import is_one_hot
from tuning.scoring.measure import Measure
from tuning.trainer.outputs import linked
from tuning.trainer.train import Rows

STANDARD: Mapping[Task, tuple[str, ...]] = {
    "regression": ("rmse", "mae", "r2"),
    "binary": ("accuracy", "auc"),
    "multiclass": ("accuracy", "auc"),
    "multilabel": ("accuracy", "auc"),
}
"""What every winner and baseline is scored by, beside the study's objective."""


def scores(
    task: Tasks,
    y: Arrays,
    predicted: Arrays,
    weight: Arrays | None = None,
    *,
    measures: Sequence[Measure] = (),
    threshold: float | None = None,
) -> dict[str, float]:
    """Return every standard metric and every measure that has a value here.

    Args:
        task: Of the data set.
        y: `(rows, …)`, by name of the output where there are several: their metrics are named
            `<output>_<metric>`.
        predicted: As `y`, after the link.
        weight: `(rows,)` or by output.
        measures: Of the study's objectives.
        threshold: Between two classes; None: above 0.5.
    """
    values: dict[str, float] = {}
    for measure in (*_standard(task, y), *measures):
        name = f"{measure.output}_{measure.name}" if measure.output else measure.name
        value = measure(y, predicted, weight, threshold=threshold)
        if not math.isnan(value) or not np.all(np.isfinite(measure.of_output(predicted))):
            values.setdefault(name, value)
    return values


def _standard(task: Tasks, y: Arrays) -> Iterator[Measure]:
    for output, _ in named(y):
        of_output = task_of(task, output)
        for name in STANDARD[of_output]:
            yield Measure(name, of_output, metrics.fitting_metric(name, of_output), output)


def baselines(task: Tasks, train: Rows, X: Arrays, y: Arrays) -> dict[str, Arrays]:
    """Fit the baselines on the training rows; return what they predict for other rows.

    Args:
        task: Regression has a mean and least squares; the others the classes' shares and logistic
            regression, binary also the perceptron of the courses. Of several outputs each is
            predicted for itself.
        train: The rows that the winner was trained on.
        X: Prepared as these are.
        y: As the data set has it.

    Returns:
        Predictions by the baseline's name, each as a Keras model of the task would give them. One
        that a baseline cannot be made of (texts, ragged rows) has the dummy alone.
    """
    if not isinstance(train.y, Mapping):
        return dict(_of_output(task_of(task), train, X, only(y)))

    by_output = {}
    for name, y_train in train.y.items():
        rows = Rows(train.X, y_train, _weight_of(train.weight, name))
        by_output[name] = _of_output(task_of(task, name), rows, X, dict(named(y))[name])
    common = set.intersection(*(set(predictions) for predictions in by_output.values()))
    return {
        baseline: {name: by_output[name][baseline] for name in by_output}
        for baseline in ("dummy", "linear", "perceptron")
        if baseline in common
    }


def _weight_of(weight: Arrays | None, output: str) -> Array | None:
    return weight.get(output) if isinstance(weight, Mapping) else weight


def _of_output(task: Task, train: Rows, X: Arrays, y: Array) -> dict[str, Array]:
    y_train = only(train.y)
    weight = None if train.weight is None else only(train.weight)
    if weight is not None and weight.ndim > 1:  # of many answers a row
        weight = weight.reshape(len(weight), -1).mean(axis=1)
    n_classes = _n_classes(task, y_train, y)
    if task in ("binary", "multiclass"):
        y_train = _numbers(y_train, y)
        if y_train.shape[1] > 1:  # many answers a row: pixels of a mask, steps of a sequence
            whole = None if train.weight is None else only(train.weight)
            return {"dummy": _shares(task, y_train, whole, (len(y), n_classes))}
        y_train = y_train[:, 0]
    elif y_train.ndim > 2:
        y_train = y_train.reshape(len(y_train), -1)

    predictions = {}
    inputs = [_inputs(train.X), _inputs(X)]
    for name, model in _models(task).items():
        train_X, test_X = inputs
        if train_X is None or test_X is None:
            if name != "dummy":
                continue
            train_X, test_X = np.zeros((len(y_train), 1)), np.zeros((len(y), 1))
        model.fit(train_X, y_train, **_weights(model, weight))
        predictions[name] = _predict(task, model, test_X, n_classes)
    return predictions


def _n_classes(task: Task, y_train: Array, y: Array) -> int:
    """Return how many classes there are; the other part may have one that no training row has."""
    if task != "multiclass":
        return 2
    if _is_made_one_hot(y_train, y):
        return int(y_train.shape[-1])
    return int(max(y_train.max(), y.max())) + 1


def _is_made_one_hot(y_train: Array, y: Array) -> bool:
    """Whether class numbers have become rows of the training part, for a loss that wants them.

    Of class numbers each row may hold one 1, too: then they have the shape of the other part's.
    """
    return y_train.ndim > 1 and y_train.shape[1:] != y.shape[1:] and is_one_hot(y_train)


def _numbers(y_train: Array, y: Array) -> Array:
    """Return the training rows' class numbers, int `(rows, answers)`."""
    if _is_made_one_hot(y_train, y):
        y_train = y_train.argmax(axis=-1)
    return y_train.reshape(len(y_train), -1).astype(int)


def _shares(task: Task, numbers: Array, weight: Array | None, size: tuple[int, int]) -> Array:
    """Predict the classes' shares for every answer, `(n_rows, answers)` or one a class.

    Args:
        task: Binary or multiclass.
        numbers: Of the training rows' classes, `(rows, answers)`.
        weight: `(rows,)`, or of each answer too; None: 1 each.
        size: Rows to predict, and classes.
    """
    n_rows, n_classes = size
    counted = None
    if weight is not None:
        of_answers = weight.reshape(len(weight), -1)
        each_counts = numbers.shape[1] // of_answers.shape[1]
        counted = np.repeat(of_answers, each_counts, axis=1).reshape(-1)
    counts = np.bincount(numbers.reshape(-1), counted, minlength=n_classes)
    shares = counts / counts.sum()
    if task == "binary":
        return np.full((n_rows, numbers.shape[1]), shares[1])
    return np.tile(shares, (n_rows, numbers.shape[1], 1))


def _weights(model: Any, weight: Array | None) -> dict[str, Array]:
    from sklearn.utils.validation import has_fit_parameter

    if weight is None or not has_fit_parameter(model, "sample_weight"):
        return {}
    return {"sample_weight": weight}


def _inputs(X: Arrays) -> Array | None:
    """Return all inputs beside each other, `(rows, features)`.

    None where they are no numbers, or more than memory holds.
    """
    if any(isinstance(array, LazyArray) and not array.fits_memory for array in leaves(X)):
        return None
    columns = [np.asarray(array) for array in leaves(X)]
    if any(array.dtype.kind not in "fiub" for array in columns):
        return None
    flat = [array.reshape(len(array), -1) for array in columns]
    return flat[0] if len(flat) == 1 else np.hstack(flat)


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
