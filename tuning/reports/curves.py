"""The learning curves of all trials in one figure: the best five in colour, the others grey."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from tuning.reports.axes import log_ticks, padded
from tuning.reports.style import COLOURS, GREY, escaped, styled
from tuning.reports.summary import Trials, ranked
from tuning.study.objective import Objective
from tuning.trial import TrialResult

_MOST_POINTS = 100  # of one curve
_COLOURED = 5

Epochs: TypeAlias = Sequence[Mapping[str, float]]  # one row an epoch: `epoch`, and its metrics


class _Curve(NamedTuple):
    """One trial's metric over epochs; None where it was not finite."""

    epochs: list[float]
    values: list[float | None]


def learning_curves(trials: Trials, objective: Objective) -> Any:
    """Draw the objective over epochs; `val_loss` where not every trial's epochs have the objective.

    Returns:
        A Plotly figure; None where no trial has finished an epoch.
    """
    import plotly.graph_objects as go

    rows_by_trial = {result.number: _epochs(result) for _, result in trials}
    rows_by_trial = {number: rows for number, rows in rows_by_trial.items() if rows}
    if not rows_by_trial:
        return None

    # One axis for all: curves of two metrics cannot be compared.
    everywhere = all(objective.metric in rows[0] for rows in rows_by_trial.values())
    metric = objective.metric if everywhere else "val_loss"
    curves = {number: _curve(rows, metric) for number, rows in rows_by_trial.items()}

    ranking = [result.number for _, result in ranked(trials, objective)[:_COLOURED]]
    best = [number for number in ranking if number in curves]
    figure = go.Figure()
    _add_others(figure, [curve for number, curve in curves.items() if number not in best])
    for number, colour in zip(best, COLOURS, strict=False):
        figure.add_scatter(
            x=curves[number].epochs,
            y=curves[number].values,
            mode="lines",
            name=f"trial {number}",
            line={"color": colour, "width": 2},
        )

    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title=escaped(metric))
    smaller_is_better = objective.direction == "minimize" or metric == "val_loss"
    if smaller_is_better:
        _use_log_axis_where_it_helps(figure, curves.values())
    return styled(figure, 330)


def _epochs(result: TrialResult) -> Epochs:
    # `TrialResult.curve` looks for each epoch in every fold; long curves of a single fit need not
    # pay for that.
    return result.folds[0].curve if len(result.folds) == 1 else result.curve


def _curve(rows: Epochs, metric: str) -> _Curve:
    """Return one curve, thinned to about `_MOST_POINTS` points; its last epoch is always there."""
    step = math.ceil(len(rows) / _MOST_POINTS)
    thinned = [*rows[:-1:step], rows[-1]]

    values: list[float | None] = []
    for row in thinned:
        value = row.get(metric, math.nan)
        values.append(value if math.isfinite(value) else None)
    return _Curve([row["epoch"] for row in thinned], values)


def _add_others(figure: Any, curves: Iterable[_Curve]) -> None:
    """Add all as one grey trace with gaps: a trace for each trial is slow to draw."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for curve in curves:
        xs += [*curve.epochs, None]
        ys += [*curve.values, None]

    figure.add_scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": GREY, "width": 1},
        name="others",
        hoverinfo="skip",
    )


def _use_log_axis_where_it_helps(figure: Any, curves: Iterable[_Curve]) -> None:
    """Make the axis logarithmic where values are positive and span more than a factor of 2."""
    values = sorted(value for curve in curves for value in curve.values if value is not None)
    if not values:
        return
    lowest = values[0]
    highest = values[-1]
    if not 0 < 2 * lowest < highest:
        return

    # The first epochs of bad trials would squeeze the rest.
    top = values[int(0.98 * (len(values) - 1))]
    marks = log_ticks(lowest, highest)
    figure.update_yaxes(
        type="log",
        range=padded([math.log10(lowest), math.log10(top)]),
        tickvals=marks,
        ticktext=[f"{mark:g}" for mark in marks],
    )
