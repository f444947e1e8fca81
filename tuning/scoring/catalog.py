"""The table of metrics: a row a metric, the tasks it fits, and what computes it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tuning.data.dataset import TASKS, Task
from tuning.scoring import classes, probabilities, regression, scorers
from tuning.scoring.case import Case
from tuning.study.objective import WITH_A_NUMBER
from tuning.study.scorer_internals import is_scorer, reads_classes

Compute: TypeAlias = Callable[[Case], float]

_NUMBERS: tuple[Task, ...] = ("regression",)
_BINARY: tuple[Task, ...] = ("binary",)
_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_LABELS: tuple[Task, ...] = ("multilabel",)
_ANY_CLASSES: tuple[Task, ...] = ("binary", "multiclass", "multilabel")
AVERAGES = ("binary", "macro", "micro", "weighted", "samples")


@dataclass(frozen=True, eq=False)
class Metric:
    """One row of the table.

    Attributes:
        tasks: Where it means something.
        compute: Its value; NaN where it has none.
        of_classes: It looks at predicted classes, and so at the threshold of two of them.
        n_quantiles: Blocks of columns that the model predicts for each column of y.
    """

    tasks: tuple[Task, ...]
    compute: Compute
    of_classes: bool = False
    n_quantiles: int = 1


_TABLE: dict[str, Metric] = {
    "rmse": Metric(_NUMBERS, regression.rmse),
    "mae": Metric(_NUMBERS, regression.mae),
    "r2": Metric(_NUMBERS, regression.r2),
    "mse": Metric(_NUMBERS, regression.mse),
    "mape": Metric(_NUMBERS, regression.mape),
    "medae": Metric(_NUMBERS, regression.medae),
    "max_error": Metric(_NUMBERS, regression.max_error),
    "msle": Metric(_NUMBERS, regression.msle),
    "rmsle": Metric(_NUMBERS, regression.rmsle),
    "explained_variance": Metric(_NUMBERS, regression.explained_variance),
    "poisson_deviance": Metric(_NUMBERS, regression.poisson_deviance),
    "gamma_deviance": Metric(_NUMBERS, regression.gamma_deviance),
    "pinball": Metric(_NUMBERS, functools.partial(regression.pinball, quantiles=(0.5,))),
    "accuracy": Metric(_ANY_CLASSES, classes.accuracy, of_classes=True),
    "auc": Metric(_ANY_CLASSES, probabilities.auc),
    "average_precision": Metric(_ANY_CLASSES, probabilities.average_precision),
    "balanced_accuracy": Metric(_CLASSES, classes.balanced_accuracy, of_classes=True),
    "mcc": Metric(_CLASSES, classes.mcc, of_classes=True),
    "cohen_kappa": Metric(_CLASSES, classes.cohen_kappa, of_classes=True),
    "log_loss": Metric(_CLASSES, probabilities.log_loss),
    "brier": Metric(_CLASSES, probabilities.brier),
}


@functools.lru_cache(maxsize=64)
def find(name: str) -> Metric | None:
    """Return the metric of a name (without `val_`); None where nothing of the name is known.

    A scorer of scikit-learn's fits the tasks where it has a value for a few rows.
    """
    if name in _TABLE:
        return _TABLE[name]
    return _averaged(name) or _with_a_number(name) or _scorer(name)


def of_function(function: Callable[..., Any], task: Task) -> Metric:
    """Return a function of the user's own as a metric that fits."""
    compute = functools.partial(scorers.by_function, function)
    of_classes = reads_classes(function) if is_scorer(function) else True
    return Metric((task,), compute, of_classes=of_classes)


def fitting(task: Task) -> tuple[str, ...]:
    """Name the metrics that fit a task; `loss` always does.

    Those with a number in their name stand here with the usual one; scikit-learn's scorers are not
    listed.
    """
    names = [name for name, metric in _TABLE.items() if task in metric.tasks]
    if task in _ANY_CLASSES:
        for name in ("f1", "precision", "recall"):
            names += [name] if task == "binary" else []
            names += [f"{name}_{average}" for average in AVERAGES if _average_fits(average, task)]
    if task == "multiclass":
        names.append("top_5_accuracy")
    if task == "regression":
        names.append("pinball_0.9")
    return (*names, "loss")


def _average_fits(average: str, task: Task) -> bool:
    return task in _tasks_of(average) and average != "binary"


def _tasks_of(average: str) -> tuple[Task, ...]:
    if average == "binary":
        return _BINARY
    return _LABELS if average == "samples" else _ANY_CLASSES


def _averaged(name: str) -> Metric | None:
    kind, _, average = name.partition("_")
    average = average or "binary"
    if kind not in ("precision", "recall") or average not in AVERAGES:
        return None
    compute = getattr(classes, kind)
    return Metric(_tasks_of(average), functools.partial(compute, average=average), of_classes=True)


def _with_a_number(name: str) -> Metric | None:
    for pattern, _ in WITH_A_NUMBER:
        match = pattern.fullmatch(name)
        if match is not None:
            return _numbered(**match.groupdict())
    return None


def _numbered(
    *,
    beta: str | None = None,
    average: str | None = None,
    quantiles: str | None = None,
    k: str | None = None,
) -> Metric:
    """Return the metric that a pattern of `WITH_A_NUMBER` has read."""
    if k is not None:
        return Metric(("multiclass",), functools.partial(probabilities.top_accuracy, k=int(k)))
    if quantiles is not None:
        given = tuple(float(quantile) for quantile in quantiles.strip("_").split("_"))
        compute = functools.partial(regression.pinball, quantiles=given)
        return Metric(_NUMBERS, compute, n_quantiles=len(given))

    average = average or "binary"
    compute = functools.partial(classes.f_score, average=average, beta=float(beta or 1))
    return Metric(_tasks_of(average), compute, of_classes=True)


def _scorer(name: str) -> Metric | None:
    scorer = scorers.scorer_named(name)
    if scorer is None:
        return None
    tasks = tuple(task for task in TASKS if scorers.fits(scorer, task))
    compute = functools.partial(scorers.by_named_scorer, scorer)
    return Metric(tasks, compute, of_classes=reads_classes(scorer))
