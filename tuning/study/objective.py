"""`Objective`, as a study declares it: `Minimize("val_rmse")`, `Maximize("val_accuracy")`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

BETTER: Mapping[str, Literal["minimize", "maximize"]] = {
    "loss": "minimize",
    "rmse": "minimize",
    "mae": "minimize",
    "r2": "maximize",
    "accuracy": "maximize",
    "auc": "maximize",
}
"""The metrics that are computed by us from predictions, and which way each is better."""

METRICS = tuple(BETTER)


@dataclass(frozen=True)
class Objective:
    """What a trial is judged by: a metric on the validation part, and which way is better."""

    metric: str
    direction: Literal["minimize", "maximize"]

    @property
    def name(self) -> str:
        """The metric without `val_`: `rmse` for `val_rmse`."""
        return self.metric.removeprefix("val_")

    @property
    def sensible(self) -> bool:
        """Whether the direction is the metric's own; of other names nothing is known."""
        return BETTER.get(self.name, self.direction) == self.direction

    def better(self, a: float, b: float) -> bool:
        """Whether `a` beats `b`."""
        return a < b if self.direction == "minimize" else a > b

    def key(self, value: float) -> float:
        """A number that sorts the best value first."""
        return value if self.direction == "minimize" else -value


def Minimize(metric: str) -> Objective:  # noqa: N802 - reads as a declaration in a study file
    """The objective is to make `metric`, e.g. `"val_rmse"`, small."""
    return Objective(metric, "minimize")


def Maximize(metric: str) -> Objective:  # noqa: N802
    """The objective is to make `metric`, e.g. `"val_accuracy"`, large."""
    return Objective(metric, "maximize")
