"""The critical-difference diagram: mean ranks on a line, bars over engines that are not told apart.

Source: Demšar 2006, figure 1. Not from it: the best rank stands on the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuning.bench.report.figures import save, sheet
from tuning.bench.statistics.ranks import Ranks
from tuning.reports.style import COLOURS, GREY, escaped, styled

_ROW = 0.5  # between names
_BAR = 0.22  # between bars


@dataclass(frozen=True)
class Line:
    """A stroke in the diagram; x in ranks, y downwards from the axis is negative."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    width: float
    colour: str


@dataclass(frozen=True)
class Label:
    """A text; `anchor` is the side of it that stands at x: left, right or center."""

    x: float
    y: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Diagram:
    """All strokes and texts, and what is to be seen of the plane."""

    lines: tuple[Line, ...]
    labels: tuple[Label, ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]


def diagram(ranks: Ranks) -> Diagram:
    """Return where everything stands."""
    count = len(ranks.engines)
    lines = [Line((1, count), (0, 0), 1.5, GREY)]
    labels = []
    for tick in range(1, count + 1):
        lines.append(Line((tick, tick), (0, 0.1), 1.5, GREY))
        labels.append(Label(tick, 0.25, str(tick), "center"))
    half = (count + 1) // 2
    top = -0.35 - _BAR * len(ranks.groups)
    for place, (name, value) in enumerate(zip(ranks.engines, ranks.ranks, strict=True)):
        best = place < half
        y = top - _ROW * (place if best else count - 1 - place)
        edge = 0.9 if best else count + 0.1
        lines.append(Line((value, value, edge), (0, y, y), 1.2, COLOURS[0]))
        text = f"{name}  {value:.2f}" if best else f"{value:.2f}  {name}"
        labels.append(Label(edge, y, text, "right" if best else "left"))
    placed = dict(zip(ranks.engines, ranks.ranks, strict=True))
    for row, group in enumerate(ranks.groups):
        y = -0.2 - _BAR * row
        lines.append(
            Line((placed[group[0]] - 0.03, placed[group[-1]] + 0.03), (y, y), 5, COLOURS[1])
        )
    reach = ranks.critical_difference
    lines.append(Line((1, 1 + reach), (0.62, 0.62), 2.5, COLOURS[1]))
    labels.append(
        Label(1, 0.85, f"critical difference {reach:.2f} (Nemenyi, {ranks.alpha:g})", "left")
    )
    room = 0.55 * max(count - 1, 1)
    right = max(count + room, 1 + reach + 0.1)
    return Diagram(tuple(lines), tuple(labels), (1 - room, right), (top - _ROW * half, 1.1))


def ranks_figure(ranks: Ranks) -> Any:
    """Return the diagram as a Plotly figure."""
    import plotly.graph_objects as go

    drawn = diagram(ranks)
    figure = go.Figure()
    for line in drawn.lines:
        figure.add_scatter(
            x=line.xs,
            y=line.ys,
            mode="lines",
            line={"color": line.colour, "width": line.width},
            hoverinfo="skip",
            cliponaxis=False,
        )
    for label in drawn.labels:
        figure.add_annotation(
            x=label.x,
            y=label.y,
            text=escaped(label.text),
            showarrow=False,
            xanchor=label.anchor,
            yanchor="middle",
            xshift={"right": -4, "left": 4}.get(label.anchor, 0),
        )
    figure.update_xaxes(visible=False, range=drawn.x_range)
    figure.update_yaxes(visible=False, range=drawn.y_range)
    return styled(figure, round(70 * (drawn.y_range[1] - drawn.y_range[0])), legend=False)


def write_ranks_png(ranks: Ranks, path: Path) -> Path:
    """Write the diagram as a PNG; return its path."""
    drawn = diagram(ranks)
    figure, (axes,) = sheet(1, max(2.0, 0.75 * (drawn.y_range[1] - drawn.y_range[0])))
    for line in drawn.lines:
        axes.plot(
            line.xs,
            line.ys,
            color=_opaque(line.colour),
            linewidth=line.width,
            solid_capstyle="butt",
        )
    for label in drawn.labels:
        axes.text(label.x, label.y, f" {label.text} ", ha=label.anchor, va="center", fontsize=10)
    axes.set(xlim=drawn.x_range, ylim=drawn.y_range)
    axes.set_axis_off()
    return save(figure, path)


def _opaque(colour: str) -> str:
    return "#808a98" if colour == GREY else colour
