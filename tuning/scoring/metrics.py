"""Objectives computed by us from validation predictions, the same for every engine.

A new metric is a row of `catalog`; which way it is better stands in `tuning.study.objective`.
"""

from __future__ import annotations

import math

import numpy as np

from tuning.data.dataset import Array, Task
from tuning.errors import StudyError, did_you_mean
from tuning.scoring import catalog
from tuning.scoring.case import Case, case_of
from tuning.scoring.catalog import Metric


def score(
    name: str,
    task: Task,
    y: Array,
    predicted: Array,
    weight: Array | None = None,
    *,
    threshold: float | None = None,
) -> float:
    """Return one task metric of one output.

    Args:
        name: rmse, accuracy, f1, …: see `fitting`; or a scorer's of scikit-learn.
        task: Fixes how `predicted` is read: binary and multilabel as probabilities, multiclass as
            one a class.
        y: `(rows, …)`; class numbers for binary and multiclass, one-hot rows also for multiclass.
        predicted: `(rows, …)` as the model returns it.
        weight: `(rows,)`, what each row counts; None: 1.
        threshold: From this probability on a row is of class 1; None: above 0.5.

    Returns:
        The metric in its natural sign and, for rmse and mae, in the target's unit. NaN where a
        prediction is not finite, or the metric has no value.

    Raises:
        StudyError: The metric does not fit the task; names those that do.
    """
    metric = fitting_metric(name, task)
    return score_case(metric, task, y, predicted, weight, threshold=threshold)


def score_case(
    metric: Metric,
    task: Task,
    y: Array,
    predicted: Array,
    weight: Array | None = None,
    *,
    threshold: float | None = None,
) -> float:
    """Return what a metric of the catalogue says; arguments and value as `score` has them."""
    if not np.all(np.isfinite(predicted)):
        return math.nan

    case = case_of(task, y, predicted, weight, threshold)
    if not _belong_together(case, metric):
        return math.nan
    return metric.compute(case)


def _belong_together(case: Case, metric: Metric) -> bool:
    """Whether there is a prediction for each number of the truth.

    A model of three quantiles of one target has no single RMSE.
    """
    if case.weight is not None and not np.any(case.weight):
        return False
    if not len(case.truth):
        return False
    if case.task != "regression":
        return True
    return bool(case.predicted.shape[1] == metric.n_quantiles * case.truth.shape[1])


def fitting(task: Task) -> tuple[str, ...]:
    """Name the metrics that fit a task; `loss` always does."""
    return catalog.fitting(task)


def check(name: str, task: Task) -> None:
    """Raise `StudyError` where one of our metrics does not fit the task."""
    if name != "loss":
        fitting_metric(name, task)


def fitting_metric(name: str, task: Task) -> Metric:
    """Return the metric of a name.

    Raises:
        StudyError: There is none, or it does not fit the task; names those that do.
    """
    metric = catalog.find(name)
    if metric is not None and task in metric.tasks:
        return metric

    known = fitting(task)
    listed = ", ".join(f"val_{each}" for each in known)
    guess = did_you_mean(name, known)
    raise StudyError(
        f"objective 'val_{name}' does not fit {task} data;{guess} use {listed}",
        where="objective",
    )
