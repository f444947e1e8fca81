"""Parallel coordinates: one line a trial over all parameters and the objective, log axes where log."""

from __future__ import annotations

import math
from typing import Any

from tuning.reports.axes import place, ticks
from tuning.reports.style import GREY, escaped, styled
from tuning.reports.summary import Trials
from tuning.reports.texts import params_text, score
from tuning.study.objective import Objective
from tuning.study.space import Space

_SHADES = (
    ("worst fifth", "rgba(128,138,152,0.35)"),
    ("fourth", "rgba(128,138,152,0.6)"),
    ("third", "#c58b3a"),
    ("second", "#3fa98f"),
    ("best fifth", "#2f7fdf"),
)
_ABSENT = -0.13  # where lines of trials without the parameter pass, below its axis


def parallel(ordered: Trials, space: Space, objective: Objective) -> Any:
    """Draw trials, the best first, shaded by the fifth they belong to; each axis runs from 0 to 1."""
    import plotly.graph_objects as go

    values = [result.value for _, result in ordered if result.value is not None]
    low, high = min(values), max(values)
    figure = go.Figure()
    for shade, fifth in reversed(_fifths(ordered)):
        xs, ys, texts = _lines(fifth, space, low, high)
        name, colour = _SHADES[shade]
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines",
            name=name,
            line={"color": colour, "width": 1 + 0.4 * shade},
            text=texts,
            hovertemplate="%{text}<extra></extra>",
        )
    for at, marks in enumerate(_marks(ordered, space, low, high)):
        figure.add_shape(
            type="line", x0=at, x1=at, y0=0, y1=1, line={"color": GREY, "width": 1}, layer="below"
        )
        for y, text in marks:
            figure.add_annotation(
                x=at, y=y, text=text, showarrow=False, xanchor="right", xshift=-5, font={"size": 11}
            )
    heads = [escaped(name) for name in (*space, objective.metric)]
    figure.update_xaxes(
        tickvals=list(range(len(heads))),
        ticktext=heads,
        showgrid=False,
        range=[-0.3, len(space) + 0.15],
    )
    figure.update_yaxes(visible=False, range=[-0.2, 1.06])
    return styled(figure, 380).update_layout(legend_traceorder="reversed")


def _fifths(ordered: Trials) -> list[tuple[int, Trials]]:
    """Cut trials into fifths, the best first, as (index into `_SHADES`, trials); of few trials some
    are missing.
    """
    cuts = [math.ceil(len(ordered) * k / 5) for k in range(6)]
    return [(4 - k, ordered[cuts[k] : cuts[k + 1]]) for k in range(5) if cuts[k] < cuts[k + 1]]


def _lines(
    trials: Trials, space: Space, low: float, high: float
) -> tuple[list[Any], list[Any], list[str]]:
    """Return x, y and hover texts of all lines in one trace, with gaps: a trace for each trial is
    slow to make.
    """
    xs: list[int | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for proposal, result in trials:
        spots = [
            place(space[n], proposal.params[n]) if n in proposal.params else None for n in space
        ]
        end = 0.5 if low == high or result.value is None else (result.value - low) / (high - low)
        xs += [*range(len(space) + 1), None]
        ys += [*(_ABSENT if spot is None else spot for spot in spots), end, None]
        texts += [escaped(f"trial {result.number}: {params_text(proposal.params)}")] * (
            len(space) + 2
        )
    return xs, ys, texts


def _marks(trials: Trials, space: Space, low: float, high: float) -> list[list[tuple[float, str]]]:
    """Return the labels of each axis, as (where, text), those of the objective last."""
    marks = []
    for name in space:
        labels = [(place(space[name], value) or 0.0, text) for value, text in ticks(space[name])]
        absent = any(name not in proposal.params for proposal, _ in trials)
        marks.append([*labels, (_ABSENT, "absent")] if absent else labels)
    middle = [] if low == high else [(0.0, score(low)), (1.0, score(high))]
    return [*marks, [*middle, (0.5, score((low + high) / 2))]]
