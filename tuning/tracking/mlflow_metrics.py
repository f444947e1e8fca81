"""The metrics of our runs in MLflow: of trials, of searches, of winners.

No call to MLflow is made here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tuning.ledger.usage import Usage
from tuning.ledger.winner import WinnerRecord
from tuning.schema import Json
from tuning.tracking.base import Progress, SearchRecord
from tuning.tracking.mlflow_text import milliseconds, name_of
from tuning.trial import Status, TrialResult

POINTS = 40
"""Most points of a trial's curve; the whole of it is in the ledger's `result.json`."""

STATUSES = {
    Status.COMPLETED: "FINISHED",
    Status.PRUNED: "KILLED",
    Status.FAILED: "FAILED",
    Status.DIVERGED: "FAILED",
    Status.INFEASIBLE: "FAILED",
}
ENDS = {
    "completed": "FINISHED",
    "exhausted": "FINISHED",
    "timeout": "FINISHED",
    "budget": "FINISHED",
    "failed": "FAILED",
}
"""How a search ended → MLflow's status; whatever else ended it has KILLED it."""

Row: TypeAlias = Mapping[str, float]
FoldTable: TypeAlias = dict[str, list[float | int | None]]

_NOT_FIGURES = ("schema", "params", "number", "seed", "at", "no_better", "used")  # of `winner.json`


@dataclass(frozen=True)
class Point:
    """One metric at one step; `at_ms` in milliseconds since the epoch."""

    key: str
    value: float
    step: int
    at_ms: int


def trial_points(search: SearchRecord, result: TrialResult) -> list[Point]:
    """Return a trial's curve, thinned, and its final metrics; what is not finite is left out.

    The final metrics are those of the weights kept. They carry the last epoch's step and the latest
    time, so that MLflow shows them, not the last epoch's, as the metrics of the run.
    """
    curve = list(_curve_points(result))
    last_step = max((point.step for point in curve), default=result.epochs)
    at_last_step = {point.key: point.value for point in curve if point.step == last_step}
    # Later by a millisecond: of two values at one step and time MLflow shows the larger.
    end_ms = milliseconds(result.ended_at) + 1

    finals = []
    for name, value in _final_metrics(search, result).items():
        key = name_of(name)
        if math.isfinite(value) and at_last_step.get(key) != value:
            finals.append(Point(key, float(value), last_step, end_ms))
    return curve + finals + list(_system_points(result))


def _system_points(result: TrialResult) -> Iterator[Point]:
    """Yield what MLflow's page shows as system metrics, below `system/`."""
    for step, sample in enumerate(result.samples):
        at_ms = milliseconds(sample.get("at", result.ended_at))
        for name, value in sample.items():
            if name != "at" and math.isfinite(value):
                yield Point(name_of(f"system/{name}"), value, step, at_ms)


def _final_metrics(search: SearchRecord, result: TrialResult) -> dict[str, float]:
    metrics = {
        **result.metrics,
        "epochs": result.epochs,
        "time/seconds": result.seconds,
        "time/training_s": result.training_s,
        "rss_mb": result.rss_mb,
    }

    used = {
        "time/cpu_s": result.cpu_s,
        "time/gpu_s": result.gpu_s,
        "gpu_mb": result.gpu_mb,
    }
    metrics |= {name: value for name, value in used.items() if value}
    if result.folds:
        best_epochs = [fold.best_epoch for fold in result.folds]
        metrics["best_epoch"] = sum(best_epochs) / len(best_epochs)
    if result.value is not None:
        metrics[search.metric] = result.value
    if result.spread is not None:
        metrics[f"{search.metric}_spread"] = result.spread
    return metrics


def _curve_points(result: TrialResult) -> Iterator[Point]:
    curve = result.curve
    if not curve:
        return

    first = curve[0]["epoch"]
    last = curve[-1]["epoch"]
    seconds = max(result.ended_at - result.started_at, 0.0)  # the clock may have been set back

    for row in thinned(curve):
        # The ledger has no time of each epoch: they are taken as equally long.
        share = (row["epoch"] - first + 1) / (last - first + 1)
        at_ms = milliseconds(result.started_at + share * seconds)

        for name, value in row.items():
            if name != "epoch" and math.isfinite(value):
                yield Point(name_of(name), float(value), int(row["epoch"]), at_ms)


def thinned(curve: Sequence[Row], points: int = POINTS) -> list[Row]:
    """Return at most `points` rows, evenly spread, the first and the last among them."""
    if len(curve) <= points:
        return list(curve)
    last = len(curve) - 1
    positions = [round(i * last / (points - 1)) for i in range(points)]
    return [curve[position] for position in positions]


def fold_table(result: TrialResult) -> FoldTable:
    """Return a column for each thing known of the folds, a row for each fold.

    Empty without `--cv`.
    """
    if len(result.folds) < 2:
        return {}

    folds = result.folds
    table: FoldTable = {
        "fold": [fold.fold for fold in folds],
        "value": [_finite(fold.value) for fold in folds],
        "best_epoch": [fold.best_epoch for fold in folds],
        "seconds": [_finite(round(fold.seconds, 3)) for fold in folds],
        "seed": [fold.seed for fold in folds],
    }

    names = {name for fold in folds for name in fold.metrics}
    for name in sorted(names):
        table[name] = [_finite(fold.metrics.get(name)) for fold in folds]
    return table


def progress_points(search: SearchRecord, points: Sequence[Progress], above: int) -> list[Point]:
    """Return the anytime curve and the counters, for the points above step `above`."""
    metrics = []
    for point in points:
        if point.finished <= above:
            continue

        values: dict[str, float] = {**point.counts, "trials": point.finished}
        used = {"time/cpu_s": point.cpu_s, "time/gpu_s": point.gpu_s}
        values |= {name: seconds for name, seconds in used.items() if seconds}
        if point.best is not None:
            values[f"best_{search.metric}"] = point.best.value

        at_ms = milliseconds(point.at)
        metrics += [
            Point(name_of(name), float(value), point.finished, at_ms)
            for name, value in values.items()
        ]
    return metrics


def used_points(used: Usage, at: float) -> list[Point]:
    """Return what a search has used in all, its range tests, finals and evaluation included.

    `time/cpu_s` and `time/gpu_s` are those of its trials, one point a trial.

    Args:
        at: Unix seconds; of several values MLflow shows the latest.
    """
    figures = {"time/total_cpu_s": used.cpu_s, "time/total_gpu_s": used.gpu_s}
    at_ms = milliseconds(at)
    return [Point(name, seconds, 0, at_ms) for name, seconds in figures.items() if seconds]


def winner_metrics(search: SearchRecord, winner: WinnerRecord) -> dict[str, float]:
    """Return every finite number of `winner.json` in its group.

    So `test_rmse`, `baseline/linear_rmse`, `final/validation_mean`, …, and the objective under its
    own name: the mean of the fresh seeds, so that the search sorts among trials.
    """
    stored = winner.to_json()
    figures = {name: value for name, value in stored.items() if name not in _NOT_FIGURES}
    metrics = {_grouped(name): value for name, value in _numbers(figures)}
    mean = winner.standing.mean
    if mean is not None and math.isfinite(mean):
        metrics[name_of(search.metric)] = mean
    return metrics


def _grouped(name: str) -> str:
    if name.startswith("test_"):
        return name  # a column beside the trials' own
    group, _, rest = name.partition("_")
    return f"baseline/{rest}" if group == "baseline" else f"final/{name}"


def _numbers(values: Json, path: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        key = f"{path}{name}"
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{key}_")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            continue
        elif math.isfinite(value):
            yield name_of(key), float(value)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
