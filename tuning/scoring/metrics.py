"""Objectives computed by us from validation predictions, the same for every engine."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tuning.data.dataset import Array, Task
from tuning.errors import StudyError


def score(name: str, task: Task, y: Array, predicted: Array) -> float:
    """Return one task metric.

    Args:
        name: rmse, mae, r2, accuracy or auc.
        task: Fixes how `predicted` is read: binary and multilabel as probabilities, multiclass as
            one a class.
        y: `(rows,)`, `(rows, outputs)`; class numbers for binary and multiclass, one-hot rows also
            for multiclass.
        predicted: `(rows, outputs)` as the model returns it.

    Returns:
        The metric in its natural sign and, for rmse and mae, in the target's unit. NaN where a
        prediction is not finite.

    Raises:
        StudyError: The metric does not fit the task; names those that do.
    """
    check(name, task)
    if not np.all(np.isfinite(predicted)):
        return math.nan

    truth = _columns(np.asarray(y))
    if task == "multiclass" and truth.shape[1] > 1:  # one-hot rows
        truth = truth.argmax(axis=1)[:, None]
    return _METRICS[name](truth, _columns(np.asarray(predicted, dtype=float)))


def _columns(values: Array) -> Array:
    """Return `(rows, columns)`, whatever the shape of one row."""
    return values.reshape(len(values), -1)


def fitting(task: Task) -> tuple[str, ...]:
    """Name the metrics that fit a task; `loss` always does."""
    if task == "regression":
        return ("rmse", "mae", "r2", "loss")
    return ("accuracy", "auc", "loss")


def check(name: str, task: Task) -> None:
    """Raise `StudyError` where one of our metrics does not fit the task."""
    known = fitting(task)
    if name not in known:
        listed = ", ".join(f"val_{each}" for each in known)
        raise StudyError(
            f"objective 'val_{name}' does not fit {task} data; use {listed}",
            where="objective",
        )


# Each of the functions below takes targets and predictions as `(rows, columns)`.


def _rmse(truth: Array, predicted: Array) -> float:
    errors = truth - predicted
    return float(np.sqrt(np.mean(errors**2)))


def _mae(truth: Array, predicted: Array) -> float:
    errors = truth - predicted
    return float(np.mean(np.abs(errors)))


def _r2(truth: Array, predicted: Array) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(truth, predicted))


def _accuracy(truth: Array, predicted: Array) -> float:
    one_probability_a_class = predicted.shape[1] > 1 and truth.shape[1] == 1
    if one_probability_a_class:
        right = truth[:, 0] == predicted.argmax(axis=1)
    else:
        # One probability a label: a row counts where all its labels are right.
        right = np.all(truth == (predicted > 0.5), axis=1)
    return float(np.mean(right))


def _auc(truth: Array, predicted: Array) -> float:
    """Return the mean over classes, each against the rest, or over labels.

    A class that is all there is, or not there, has no area and does not count.
    """
    # Of two classes the second one's area says all: that of the first is the same.
    if predicted.shape[1] == 2 and truth.shape[1] == 1:
        predicted = predicted[:, 1:]
    # Class numbers become a column a class.
    if truth.shape[1] != predicted.shape[1]:
        truth = truth == np.arange(predicted.shape[1])

    areas = []
    for labels, scores in zip(truth.T, predicted.T, strict=True):
        if len(np.unique(labels)) == 2:
            areas.append(_area(labels, scores))
    return float(np.mean(areas)) if areas else math.nan


def _area(labels: Array, scores: Array) -> float:
    """Return the area by Mann and Whitney's count of pairs in the right order.

    scikit-learn's `roc_auc_score` takes 20 times as long on few rows.
    """
    from scipy.stats import rankdata

    positive = labels > labels.min()
    n_positive = int(positive.sum())
    n_negative = int((~positive).sum())

    ranks = rankdata(scores)[positive].sum()
    pairs_in_order = ranks - n_positive * (n_positive + 1) / 2
    return float(pairs_in_order / (n_positive * n_negative))


_METRICS: dict[str, Callable[[Array, Array], float]] = {
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "accuracy": _accuracy,
    "auc": _auc,
}
