"""The figures of the report, by Plotly.

Not by `optuna.visualization`: importing it costs a second (it imports matplotlib), its parallel
coordinates are one trace a trial (3 s for 300), and its colours fade on a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuning.reports.axes import log_ticks, padded, place, ticks
from tuning.reports.importance import importances
from tuning.reports.parallel import parallel
from tuning.reports.style import COLOURS, GREY, escaped, styled
from tuning.reports.summary import Trials, ranked
from tuning.reports.texts import params_text, score
from tuning.study.domains import Choice
from tuning.study.objective import Objective
from tuning.study.space import Space
from tuning.trial import Status, TrialResult

_CURVE_POINTS = 100


@dataclass(frozen=True)
class Plots:
    """The figures; None where there is nothing to draw. `note` tells what is out of the picture."""

    history: Any
    curves: Any
    parallel: Any
    importance: Any
    slices: Any
    note: str = ""


def draw(trials: Trials, space: Space, objective: Objective) -> Plots:
    """Draw everything. Text that users wrote is escaped for Plotly, which reads labels as HTML."""
    curves = _curves(trials, objective)
    completed = [pair for pair in ranked(trials, objective) if pair[1].status is Status.COMPLETED]
    if not completed:
        return Plots(None, curves, None, None, None)
    limit = far_limit(_values(completed), objective)
    near = [pair for pair in completed if not objective.better(limit, pair[1].value or 0.0)]
    far = len(completed) - len(near)
    note = f"{far} trial{'s' * (far > 1)} beyond {score(limit)} out of the picture." if far else ""
    bars = _importance(importances(trials, space, objective))
    return Plots(
        _history(trials, near, objective),
        curves,
        parallel(near, space, objective),
        bars,
        _slices(near, space, objective),
        note,
    )


def far_limit(values: Sequence[float], objective: Objective) -> float:
    """Return the value beyond which a trial would squeeze all others into a corner of the picture.

    Five times as far from the best as three quarters of the trials are; the worst value where none
    is so far.
    """
    ordered = sorted(values, key=objective.key)
    reach = 5 * abs(ordered[(3 * (len(ordered) - 1)) // 4] - ordered[0])
    worst = abs(ordered[-1] - ordered[0])
    if not 0 < reach < worst:
        return ordered[-1]
    return ordered[0] + reach if objective.direction == "minimize" else ordered[0] - reach


def _values(trials: Trials) -> list[float]:
    return [result.value for _, result in trials if result.value is not None]


def _history(trials: Trials, near: Trials, objective: Objective) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for status, colour, mark in (
        (Status.COMPLETED, COLOURS[0], "circle"),
        (Status.PRUNED, COLOURS[4], "x"),
    ):
        some = [(p, r) for p, r in trials if r.status is status and r.value is not None]
        if some:
            figure.add_scatter(
                x=[r.number for _, r in some],
                y=_values(some),
                mode="markers",
                name=status.value,
                text=[escaped(params_text(p.params)) for p, _ in some],
                marker={"color": colour, "size": 7, "symbol": mark},
                hovertemplate="trial %{x}: %{y:.4g}<br>%{text}",
            )
    xs, shown = _best_so_far(trials, objective)
    line = {"color": COLOURS[1], "width": 2, "shape": "hv"}
    figure.add_trace(
        go.Scatter(x=xs, y=shown, mode="lines", name="best so far", line=line, hoverinfo="skip")
    )
    figure.update_xaxes(title="trial")
    figure.update_yaxes(title=escaped(objective.metric), range=padded(_values(near)))
    return styled(figure, 330)


def _best_so_far(trials: Trials, objective: Objective) -> tuple[list[int], list[float]]:
    xs: list[int] = []
    best: list[float] = []
    for _, result in sorted(trials, key=lambda pair: pair[1].number):
        if result.status is Status.COMPLETED and result.value is not None:
            beaten = not best or objective.better(result.value, best[-1])
            best.append(result.value if beaten else best[-1])
            xs.append(result.number)
    return xs, best


def _curves(trials: Trials, objective: Objective) -> Any:
    import plotly.graph_objects as go

    curves = {result.number: curve for _, result in trials if (curve := _curve(result))}
    if not curves:
        return None
    metric = (
        objective.metric
        if all(objective.metric in curve[0] for curve in curves.values())
        else "val_loss"
    )
    points = {number: _points(curve, metric) for number, curve in curves.items()}
    best = [r.number for _, r in ranked(trials, objective)[:5] if r.number in points]
    xs: list[float | None] = []
    ys: list[float | None] = []
    for x, y in (points[number] for number in points if number not in best):
        xs += [*x, None]
        ys += [*y, None]  # one trace with gaps: a trace for each trial is slow to draw
    line = {"color": GREY, "width": 1}
    figure = go.Figure(
        go.Scatter(x=xs, y=ys, mode="lines", line=line, name="others", hoverinfo="skip")
    )
    for number, colour in zip(best, COLOURS, strict=False):
        x, y = points[number]
        figure.add_scatter(
            x=x, y=y, mode="lines", name=f"trial {number}", line={"color": colour, "width": 2}
        )
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title=escaped(metric))
    every = [value for _, y in points.values() for value in y if value is not None]
    smaller_is_better = objective.direction == "minimize" or metric == "val_loss"
    if every and smaller_is_better and 0 < 2 * min(every) < max(every):
        marks = log_ticks(min(every), max(every))
        figure.update_yaxes(
            type="log", range=_log_range(every), tickvals=marks, ticktext=[f"{v:g}" for v in marks]
        )
    return styled(figure, 330)


def _curve(result: TrialResult) -> Sequence[Mapping[str, float]]:
    # `TrialResult.curve` looks for each epoch in every row, which long curves of one fit need not
    # pay for.
    return result.folds[0].curve if len(result.folds) == 1 else result.curve


def _points(
    rows: Sequence[Mapping[str, float]], metric: str
) -> tuple[list[float | None], list[float | None]]:
    thinned = [*rows[: -1 : math.ceil(len(rows) / _CURVE_POINTS)], rows[-1]]
    values = (row.get(metric, math.nan) for row in thinned)
    return [row["epoch"] for row in thinned], [v if math.isfinite(v) else None for v in values]


def _log_range(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    # The first epochs of bad trials would squeeze the rest.
    return padded([math.log10(ordered[0]), math.log10(ordered[int(0.98 * (len(ordered) - 1))])])


def _slices(near: Trials, space: Space, objective: Objective) -> Any:
    from plotly.subplots import make_subplots

    if not len(space):
        return None
    figure = make_subplots(
        rows=1, cols=len(space), shared_yaxes=True, horizontal_spacing=0.15 / max(5, len(space))
    )
    for column, (name, domain) in enumerate(space.domains.items(), start=1):
        some = [(p, r) for p, r in near if name in p.params and domain.contains(p.params[name])]
        chosen = isinstance(domain, Choice)
        log = not isinstance(domain, Choice) and domain.log
        xs = [place(domain, p.params[name]) if chosen else p.params[name] for p, _ in some]
        figure.add_scatter(
            row=1,
            col=column,
            x=xs,
            y=_values(some),
            mode="markers",
            showlegend=False,
            text=[escaped(f"trial {r.number}: {params_text(p.params)}") for p, r in some],
            hovertemplate="%{y:.4g}<br>%{text}<extra></extra>",
            marker={"color": COLOURS[0], "size": 7, "opacity": 0.7},
        )
        marks = ticks(domain)
        figure.update_xaxes(
            row=1,
            col=column,
            title=escaped(name),
            type="log" if log else "linear",
            tickvals=[place(domain, v) if chosen else v for v, _ in marks],
            ticktext=[text for _, text in marks],
            range=_slice_range(domain),
            tickangle=0,
        )
    figure.update_yaxes(title=escaped(objective.metric), col=1)
    figure.update_yaxes(range=padded(_values(near)))
    return styled(figure, 270, legend=False)


def _slice_range(domain: Any) -> list[float]:
    if isinstance(domain, Choice):
        return [-0.25, 1.25]
    return padded(
        [math.log10(domain.low), math.log10(domain.high)]
        if domain.log
        else [domain.low, domain.high]
    )


def _importance(shares: dict[str, float]) -> Any:
    import plotly.graph_objects as go

    if not shares:
        return None
    names, values = [escaped(name) for name in shares][::-1], list(shares.values())[::-1]
    texts = [f"{value:.0%}" for value in values]
    bar = go.Bar(
        x=values,
        y=names,
        orientation="h",
        marker_color=COLOURS[0],
        text=texts,
        textposition="outside",
    )
    figure = go.Figure(bar)
    figure.update_traces(hoverinfo="skip", cliponaxis=False, width=0.6)
    figure.update_xaxes(
        title="share", range=[0, 1.08], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1]
    )
    return styled(figure, 90 + 36 * len(names), legend=False)
