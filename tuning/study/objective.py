"""`Objective`, as a study declares it: `Minimize("val_rmse")`, `Maximize("val_accuracy")`.

scikit-learn is not imported here: the driver reads objectives, and starts without it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from tuning.errors import StudyError
from tuning.space.constraints import MODEL_FIGURES, constraints_of
from tuning.study.scorer_internals import is_scorer, scored_function

Direction: TypeAlias = Literal["minimize", "maximize"]

_AVERAGED = {
    f"{name}_{average}": "maximize"
    for name in ("precision", "recall")
    for average in ("macro", "micro", "weighted", "samples")
}

BETTER: Mapping[str, Direction] = {
    "loss": "minimize",
    "rmse": "minimize",
    "mae": "minimize",
    "r2": "maximize",
    "accuracy": "maximize",
    "auc": "maximize",
    "mse": "minimize",
    "mape": "minimize",
    "medae": "minimize",
    "max_error": "minimize",
    "msle": "minimize",
    "rmsle": "minimize",
    "explained_variance": "maximize",
    "poisson_deviance": "minimize",
    "gamma_deviance": "minimize",
    "pinball": "minimize",
    "balanced_accuracy": "maximize",
    "mcc": "maximize",
    "cohen_kappa": "maximize",
    "average_precision": "maximize",
    "log_loss": "minimize",
    "brier": "minimize",
    "precision": "maximize",
    "recall": "maximize",
    **_AVERAGED,  # type: ignore[dict-item]
}
"""The metrics that are computed by us from predictions, and which way each is better.

Those with a number in their name are in `WITH_A_NUMBER`.
"""

METRICS = ("loss", "rmse", "mae", "r2", "accuracy", "auc")
"""Metrics that are always ours, also where the model was compiled with one of the same name.

Of any other name the model's own counts, as it did before there were as many of ours.
"""

WITH_A_NUMBER: tuple[tuple[re.Pattern[str], Direction], ...] = (
    (
        re.compile(r"f(?P<beta>\d+(\.\d+)?)(_(?P<average>macro|micro|weighted|samples))?"),
        "maximize",
    ),
    (re.compile(r"pinball(?P<quantiles>(_0?\.\d+)+)"), "minimize"),
    (re.compile(r"top_(?P<k>[1-9]\d*)_accuracy"), "maximize"),
)
"""`f1`, `f2`, `f0.5_macro`; `pinball_0.9`, `pinball_0.1_0.5_0.9`; `top_5_accuracy`."""

SCORERS = frozenset(
    [
        "accuracy",
        "adjusted_mutual_info_score",
        "adjusted_rand_score",
        "average_precision",
        "balanced_accuracy",
        "completeness_score",
        "d2_absolute_error_score",
        "d2_brier_score",
        "d2_log_loss_score",
        "explained_variance",
        "f1",
        "f1_macro",
        "f1_micro",
        "f1_samples",
        "f1_weighted",
        "fowlkes_mallows_score",
        "homogeneity_score",
        "jaccard",
        "jaccard_macro",
        "jaccard_micro",
        "jaccard_samples",
        "jaccard_weighted",
        "matthews_corrcoef",
        "mutual_info_score",
        "neg_brier_score",
        "neg_log_loss",
        "neg_max_error",
        "neg_mean_absolute_error",
        "neg_mean_absolute_percentage_error",
        "neg_mean_gamma_deviance",
        "neg_mean_poisson_deviance",
        "neg_mean_squared_error",
        "neg_mean_squared_log_error",
        "neg_median_absolute_error",
        "neg_negative_likelihood_ratio",
        "neg_root_mean_squared_error",
        "neg_root_mean_squared_log_error",
        "normalized_mutual_info_score",
        "positive_likelihood_ratio",
        "precision",
        "precision_macro",
        "precision_micro",
        "precision_samples",
        "precision_weighted",
        "r2",
        "rand_score",
        "recall",
        "recall_macro",
        "recall_micro",
        "recall_samples",
        "recall_weighted",
        "roc_auc",
        "roc_auc_ovo",
        "roc_auc_ovo_weighted",
        "roc_auc_ovr",
        "roc_auc_ovr_weighted",
        "top_k_accuracy",
        "v_measure_score",
    ]
)
"""`sklearn.metrics.get_scorer_names()`; a scorer is better where it is greater."""


def direction_of(name: str) -> Direction | None:
    """Return which way a metric of ours or a scorer of scikit-learn's is better.

    Args:
        name: Without `val_`.

    Returns:
        None for any other name, of which nothing is known.
    """
    if name in BETTER:
        return BETTER[name]
    for pattern, direction in WITH_A_NUMBER:
        if pattern.fullmatch(name):
            return direction
    return "maximize" if name in SCORERS else None


KNEE = "knee"
"""`Study.winner_by`: the trial that gives up least of one objective for the others."""


@dataclass(frozen=True)
class Objective:
    """What a trial is judged by: a metric on the validation part, and which way is better.

    Attributes:
        metric: `val_` and the metric's name.
        direction: Which way is better.
        function: Of the user's own, `(y_true, y_pred)` or a scorer of scikit-learn's; None: the
            metric is known by its name. It stays in the processes that train.
    """

    metric: str
    direction: Direction
    function: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The metric without `val_`: `rmse` for `val_rmse`."""
        return self.metric.removeprefix("val_")

    @property
    def is_model_figure(self) -> bool:
        """Whether the built model alone decides it, without training."""
        return self.metric in MODEL_FIGURES

    @property
    def sensible(self) -> bool:
        """Whether the direction is the metric's own; of other names nothing is known."""
        if self.is_model_figure:
            return self.direction == "minimize"
        if self.function is not None:
            return self.direction == "maximize" or not is_scorer(self.function)
        return direction_of(self.name) in (None, self.direction)

    @property
    def wrong_way(self) -> str:
        """What is said of an objective that is not `sensible`, and what to write instead."""
        other = "Maximize" if self.direction == "minimize" else "Minimize"
        call = f'{other}("{self.metric}")' if self.function is None else f"{other}(…)"
        return f"to {self.direction} {self.metric} finds the worst model; use {call}"

    @property
    def named(self) -> Objective:
        """The same without its function, as a process knows it that has not the user's modules."""
        return Objective(self.metric, self.direction)

    def better(self, a: float, b: float) -> bool:
        """Whether `a` beats `b`."""
        return a < b if self.direction == "minimize" else a > b

    def key(self, value: float) -> float:
        """A number that sorts the best value first."""
        return value if self.direction == "minimize" else -value


def Minimize(  # noqa: N802 - reads as a declaration in a study file
    metric: str | Callable[..., Any], *, name: str = ""
) -> Objective:
    """The objective is to make `metric` small.

    Args:
        metric: `"val_rmse"`, …, or a function `(y_true, y_pred)` of class numbers or numbers, as
            those of `sklearn.metrics`.
        name: Of such a function in tables and records; "": its own.
    """
    return _objective(metric, "minimize", name)


def Maximize(metric: str | Callable[..., Any], *, name: str = "") -> Objective:  # noqa: N802
    """The objective is to make `metric` large.

    Args:
        metric: `"val_accuracy"`, …, a function as for `Minimize`, or a scorer made by
            `sklearn.metrics.make_scorer`, which says itself what it takes.
        name: Of such a function in tables and records; "": its own.
    """
    return _objective(metric, "maximize", name)


def _objective(metric: str | Callable[..., Any], direction: Direction, name: str) -> Objective:
    if not callable(metric):
        return Objective(metric, direction)

    name = name or _name_of(metric)
    if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        raise StudyError(
            f"objective: {name} is no name for tables; give one: "
            f'{direction.capitalize()}(…, name="my_metric")',
            where="objective",
        )
    return Objective(f"val_{name.removeprefix('val_')}", direction, metric)


def _name_of(function: Callable[..., Any]) -> str:
    if is_scorer(function):
        function = scored_function(function)
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


class Asks(Protocol):
    """What a study says of what its trials are judged by."""

    @property
    def objective(self) -> Objective:
        """The only objective, or the first."""

    @property
    def objectives(self) -> Sequence[Objective]:
        """Where there are several."""

    @property
    def constraints(self) -> Sequence[str]:
        """As the study gives them."""


def figures_asked(study: Asks) -> frozenset[str]:
    """Return the model's figures that objectives or constraints of a study name."""
    named = {objective.metric for objective in study.objectives if objective.is_model_figure}
    limited = {limit.figure for limit in constraints_of(study.constraints) if limit.of_model}
    return frozenset(named | limited)


def others_asked(study: Asks) -> tuple[Objective, ...]:
    """Return the validation metrics that a study names besides its (first) objective.

    What a constraint looks at is an objective of no direction in particular.
    """
    others = {each.metric: each for each in study.objectives if not each.is_model_figure}
    for limit in constraints_of(study.constraints):
        if not limit.of_model:
            others.setdefault(limit.figure, Objective(limit.figure, "minimize"))
    return tuple(each for name, each in others.items() if name != study.objective.metric)
