"""Parallel coordinates: one line a trial over all parameters and the objective."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from tuning.reports.axes import place, ticks
from tuning.reports.style import GREY, escaped, styled
from tuning.reports.summary import Trials
from tuning.reports.texts import params_text, score
from tuning.space.space import Space
from tuning.study.objective import Objective
from tuning.trial import Proposal


class _Shade(NamedTuple):
    """How the lines of one fifth of the trials look; the thicker, the better."""

    name: str
    colour: str
    width: float


# The best fifth first, as trials are ranked.
_SHADES = (
    _Shade("best fifth", "#2f7fdf", 2.6),
    _Shade("second", "#3fa98f", 2.2),
    _Shade("third", "#c58b3a", 1.8),
    _Shade("fourth", "rgba(128,138,152,0.6)", 1.4),
    _Shade("worst fifth", "rgba(128,138,152,0.35)", 1.0),
)
_ABSENT = -0.13  # where lines of trials without the parameter pass, below its axis


class _Mark(NamedTuple):
    """A label on an axis, at `y` from 0 to 1."""

    y: float
    text: str


@dataclass(frozen=True)
class _ValueRange:
    """The best and the worst value drawn; the objective's axis runs between them."""

    low: float
    high: float

    def place(self, value: float | None) -> float:
        """Return where a value stands on the axis, the middle where all are equal."""
        if value is None or self.low == self.high:
            return 0.5
        return (value - self.low) / (self.high - self.low)

    def marks(self) -> list[_Mark]:
        """Return the labels of the axis."""
        middle = _Mark(0.5, score((self.low + self.high) / 2))
        if self.low == self.high:
            return [middle]
        return [_Mark(0.0, score(self.low)), _Mark(1.0, score(self.high)), middle]


def parallel(ordered: Trials, space: Space, objective: Objective) -> Any:
    """Draw trials, the best first, shaded by the fifth they belong to; each axis runs from 0 to 1.

    Args:
        ordered: Trials with a value, the best first; at least one.
        space: The axes, in this order; the objective's is the last.
        objective: Names the last axis.

    Returns:
        A Plotly figure.
    """
    import plotly.graph_objects as go

    values = [result.value for _, result in ordered if result.value is not None]
    value_range = _ValueRange(min(values), max(values))

    figure = go.Figure()
    # The worst first, so that the best are drawn above them.
    for shade, fifth in reversed(_fifths(ordered)):
        _add_lines(figure, shade, fifth, space, value_range)

    for column, name in enumerate(space):
        _add_axis(figure, column, _parameter_marks(name, ordered, space))
    _add_axis(figure, len(space), value_range.marks())

    heads = [escaped(name) for name in (*space, objective.metric)]
    figure.update_xaxes(
        tickvals=list(range(len(heads))),
        ticktext=heads,
        showgrid=False,
        range=[-0.3, len(space) + 0.15],
    )
    figure.update_yaxes(visible=False, range=[-0.2, 1.06])
    # Drawn last, the best would stand last in the legend.
    return styled(figure, 380).update_layout(legend_traceorder="reversed")


def _fifths(ordered: Trials) -> list[tuple[_Shade, Trials]]:
    """Cut trials into fifths, the best first; of fewer than five trials some are missing."""
    n_shades = len(_SHADES)
    fifths = []
    for index, shade in enumerate(_SHADES):
        start = math.ceil(len(ordered) * index / n_shades)
        end = math.ceil(len(ordered) * (index + 1) / n_shades)
        if start < end:
            fifths.append((shade, ordered[start:end]))
    return fifths


def _add_lines(
    figure: Any, shade: _Shade, trials: Trials, space: Space, value_range: _ValueRange
) -> None:
    """Add the lines of all trials as one trace with gaps: a trace for each trial is slow."""
    xs: list[int | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    n_axes = len(space) + 1
    for proposal, result in trials:
        xs += [*range(n_axes), None]
        ys += [*_heights(proposal, space), value_range.place(result.value), None]
        text = escaped(f"trial {result.number}: {params_text(proposal.params)}")
        texts += [text] * (n_axes + 1)

    figure.add_scatter(
        x=xs,
        y=ys,
        mode="lines",
        name=shade.name,
        line={"color": shade.colour, "width": shade.width},
        text=texts,
        hovertemplate="%{text}<extra></extra>",
    )


def _heights(proposal: Proposal, space: Space) -> list[float]:
    """Return where a trial's line crosses the axis of each parameter."""
    heights = []
    for name, domain in space.domains.items():
        height = None
        if name in proposal.params:
            height = place(domain, proposal.params[name])
        heights.append(_ABSENT if height is None else height)
    return heights


def _parameter_marks(name: str, trials: Trials, space: Space) -> list[_Mark]:
    domain = space[name]
    marks = [_Mark(place(domain, value) or 0.0, text) for value, text in ticks(domain)]
    if any(name not in proposal.params for proposal, _ in trials):
        marks.append(_Mark(_ABSENT, "absent"))
    return marks


def _add_axis(figure: Any, column: int, marks: list[_Mark]) -> None:
    """Draw one vertical axis with its labels."""
    figure.add_shape(
        type="line",
        x0=column,
        x1=column,
        y0=0,
        y1=1,
        line={"color": GREY, "width": 1},
        layer="below",
    )

    for mark in marks:
        figure.add_annotation(
            x=column,
            y=mark.y,
            text=mark.text,
            showarrow=False,
            xanchor="right",
            xshift=-5,
            font={"size": 11},
        )
