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
_TICK = 0.1  # length of a stroke on the axis
_SHIFTS = {"right": -4, "center": 0, "left": 4}  # pixels between a text and its line, by anchor


@dataclass(frozen=True)
class Line:
    """A stroke in the diagram.

    Attributes:
        xs: In ranks.
        ys: 0 is the axis, negative is below it.
        width: In pixels or points.
        colour: As CSS has it.
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    width: float
    colour: str


@dataclass(frozen=True)
class Label:
    """A text in the diagram.

    Attributes:
        x: In ranks.
        y: As a line's.
        text: One line.
        anchor: The side of it that stands at x: left, right or center.
    """

    x: float
    y: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Diagram:
    """All strokes and texts, and the part of the plane that is seen."""

    lines: tuple[Line, ...]
    labels: tuple[Label, ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    @property
    def height(self) -> float:
        """Of the part that is seen."""
        bottom, top = self.y_range
        return top - bottom


def diagram(ranks: Ranks) -> Diagram:
    """Return where everything stands."""
    count = len(ranks.engines)
    n_left = (count + 1) // 2  # the better half stands on the left
    highest_name = -0.35 - _BAR * len(ranks.groups)

    lines: list[Line] = []
    labels: list[Label] = []
    _add_axis(count, lines, labels)
    for place in range(count):
        _add_engine(ranks, place, highest_name, lines, labels)
    _add_bars(ranks, lines)
    _add_critical_difference(ranks, lines, labels)

    room_for_names = 0.55 * max(count - 1, 1)
    right = max(count + room_for_names, 1 + ranks.critical_difference + 0.1)
    return Diagram(
        lines=tuple(lines),
        labels=tuple(labels),
        x_range=(1 - room_for_names, right),
        y_range=(highest_name - _ROW * n_left, 1.1),
    )


def _add_axis(count: int, lines: list[Line], labels: list[Label]) -> None:
    lines.append(Line((1, count), (0, 0), 1.5, GREY))
    for rank in range(1, count + 1):
        lines.append(Line((rank, rank), (0, _TICK), 1.5, GREY))
        labels.append(Label(rank, 0.25, str(rank), "center"))


def _add_engine(
    ranks: Ranks, place: int, highest_name: float, lines: list[Line], labels: list[Label]
) -> None:
    """Lead a line from an engine's rank down and out to its name; `place` counts from the best."""
    count = len(ranks.engines)
    name = ranks.engines[place]
    rank = ranks.ranks[place]
    is_left = place < (count + 1) // 2

    if is_left:
        row = place
        edge = 0.9
        label = Label(edge, highest_name - _ROW * row, f"{name}  {rank:.2f}", "right")
    else:  # the worst engine's line is the shortest: it stands highest
        row = count - 1 - place
        edge = count + 0.1
        label = Label(edge, highest_name - _ROW * row, f"{rank:.2f}  {name}", "left")

    lines.append(Line((rank, rank, edge), (0, label.y, label.y), 1.2, COLOURS[0]))
    labels.append(label)


def _add_bars(ranks: Ranks, lines: list[Line]) -> None:
    """Join the engines of each group by a bar."""
    rank_of = dict(zip(ranks.engines, ranks.ranks, strict=True))
    for row, group in enumerate(ranks.groups):
        start = rank_of[group[0]] - 0.03
        end = rank_of[group[-1]] + 0.03
        y = -0.2 - _BAR * row
        lines.append(Line((start, end), (y, y), 5, COLOURS[1]))


def _add_critical_difference(ranks: Ranks, lines: list[Line], labels: list[Label]) -> None:
    difference = ranks.critical_difference
    lines.append(Line((1, 1 + difference), (0.62, 0.62), 2.5, COLOURS[1]))
    text = f"critical difference {difference:.2f} (Nemenyi, {ranks.alpha:g})"
    labels.append(Label(1, 0.85, text, "left"))


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
            xshift=_SHIFTS[label.anchor],
        )
    figure.update_xaxes(visible=False, range=drawn.x_range)
    figure.update_yaxes(visible=False, range=drawn.y_range)
    return styled(figure, round(70 * drawn.height), legend=False)


def write_ranks_png(ranks: Ranks, path: Path) -> Path:
    """Write the diagram as a PNG; return its path."""
    drawn = diagram(ranks)
    figure, (axes,) = sheet(1, max(2.0, 0.75 * drawn.height))

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
    """Return a colour as matplotlib reads it, which does not take CSS' `rgba(…)`."""
    return "#808a98" if colour == GREY else colour
