"""Objectives computed by us from validation predictions, the same for every engine."""

from __future__ import annotations

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
        return float("nan")
    truth, found = np.asarray(y), np.asarray(predicted, dtype=float)
    truth, found = truth.reshape(len(truth), -1), found.reshape(len(found), -1)
    if task == "multiclass" and truth.shape[1] > 1:
        truth = truth.argmax(axis=1)[:, None]
    return _METRICS[name](truth, found)


def fitting(task: Task) -> tuple[str, ...]:
    """Name the metrics that fit a task; `loss` always does."""
    return ("rmse", "mae", "r2", "loss") if task == "regression" else ("accuracy", "auc", "loss")


def check(name: str, task: Task) -> None:
    """Raise `StudyError` where one of our metrics does not fit the task."""
    if name not in fitting(task):
        raise StudyError(
            f"objective 'val_{name}' does not fit {task} data; use {_listed(task)}",
            where="objective",
        )


def _listed(task: Task) -> str:
    return ", ".join(f"val_{name}" for name in fitting(task))


def _rmse(y: Array, p: Array) -> float:
    return float(np.sqrt(np.mean((y - p) ** 2)))


def _mae(y: Array, p: Array) -> float:
    return float(np.mean(np.abs(y - p)))


def _r2(y: Array, p: Array) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(y, p))


def _accuracy(y: Array, p: Array) -> float:
    if p.shape[1] > 1 and y.shape[1] == 1:  # one probability a class
        return float(np.mean(y[:, 0] == p.argmax(axis=1)))
    return float(np.mean(np.all(y == (p > 0.5), axis=1)))


def _auc(y: Array, p: Array) -> float:
    """Mean over classes (each against the rest) or labels; one that is all there is, or not there,
    has no area.
    """
    if p.shape[1] == 2 and y.shape[1] == 1:
        p = p[:, 1:]
    columns = y if y.shape[1] == p.shape[1] else (y == np.arange(p.shape[1]))
    areas = [
        _area(truth, found)
        for truth, found in zip(columns.T, p.T, strict=True)
        if len(np.unique(truth)) == 2
    ]
    return float(np.mean(areas)) if areas else float("nan")


def _area(truth: Array, found: Array) -> float:
    """Mann and Whitney's count of pairs in the right order; `roc_auc_score` takes 20 times as long
    on few rows.
    """
    from scipy.stats import rankdata

    positive = truth > truth.min()
    n, rest = int(positive.sum()), int((~positive).sum())
    return float((rankdata(found)[positive].sum() - n * (n + 1) / 2) / (n * rest))


_METRICS: dict[str, Callable[[Array, Array], float]] = {
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "accuracy": _accuracy,
    "auc": _auc,
}
