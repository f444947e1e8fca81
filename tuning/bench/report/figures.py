"""Figures of a benchmark: anytime curves with their bands by Plotly and by matplotlib (PNG, without
a browser).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tuning.bench.statistics.anytime import Band
from tuning.reports.axes import padded
from tuning.reports.style import COLOURS, escaped, styled
from tuning.storage.durable import write_bytes

_DASHES = (
    ("solid", "-"),
    ("dash", "--"),
    ("dot", ":"),
    ("dashdot", "-."),
)  # Plotly's word, matplotlib's
# the axis shows what curves do after this share of the budget; before it they fall from far above
_SETTLED = 0.1


@dataclass(frozen=True)
class Panel:
    """One picture of anytime curves.

    Attributes:
        title: e.g. `housing, validation`.
        metric, unit: Words at the axes: `val_rmse`, `epochs`.
        bands: One for each engine.
        names: Engines in the order of their colours, the same in every picture of a report.
    """

    title: str
    metric: str
    unit: str
    bands: tuple[Band, ...]
    names: tuple[str, ...]


def anytime_figure(panel: Panel, height: int = 360) -> Any:
    """Return a Plotly figure: a line for each engine's median, a band between its quartiles."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for band in panel.bands:
        colour, (dash, _) = _style(panel, band.engine)
        name = escaped(band.engine)
        edge = {
            "mode": "lines",
            "line": {"width": 0, "shape": "hv"},
            "legendgroup": name,
            "hoverinfo": "skip",
            "showlegend": False,
        }
        low, high = _both(band)
        figure.add_scatter(x=band.at, y=low, **edge)
        figure.add_scatter(x=band.at, y=high, fill="tonexty", fillcolor=_faint(colour), **edge)
    for band in panel.bands:  # above all bands
        colour, (dash, _) = _style(panel, band.engine)
        name = escaped(band.engine)
        figure.add_scatter(
            x=band.at,
            y=band.median,
            mode="lines",
            name=name,
            legendgroup=name,
            line={"color": colour, "width": 2, "shape": "hv", "dash": dash},
            hovertemplate=f"{name}<br>%{{x:,.4g}} {escaped(panel.unit)}: %{{y:.4g}}<extra></extra>",
        )
    figure.update_xaxes(title=escaped(panel.unit), rangemode="tozero")
    figure.update_yaxes(title=escaped(panel.metric))
    if (limits := _limits(panel.bands)) is not None:
        figure.update_yaxes(range=limits)
    return styled(figure, height)


def write_anytime_png(panels: Sequence[Panel], path: Path) -> Path:
    """Write the panels under one another as a PNG; return its path.

    Raises:
        StorageError: The disk is full or read-only.
    """
    figure, axes = sheet(len(panels), 4.2)
    for ax, panel in zip(axes, panels, strict=True):
        for band in panel.bands:
            colour, (_, dash) = _style(panel, band.engine)
            low, high = (np.array(end, dtype=float) for end in _both(band))
            ax.fill_between(band.at, low, high, step="post", color=colour, alpha=0.13, linewidth=0)
            median = np.array(band.median, dtype=float)
            ax.step(
                band.at,
                median,
                where="post",
                color=colour,
                linestyle=dash,
                linewidth=1.8,
                label=band.engine,
            )
        ax.set_title(panel.title, loc="left", fontsize=11)
        ax.set(xlabel=panel.unit, ylabel=panel.metric)
        if (limits := _limits(panel.bands)) is not None:
            ax.set_ylim(*limits)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=9, ncols=2)
    return save(figure, path)


def sheet(panels: int, inches: float) -> tuple[Any, np.ndarray]:
    """Return a matplotlib figure that needs no display, and its axes under one another, each
    `inches` high.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, inches * panels), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, np.ravel(figure.subplots(panels, 1))


def save(figure: Any, path: Path) -> Path:
    """Write a matplotlib figure as PNG, whole or not at all; return its path."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    write_bytes(path, drawn.getvalue())
    return path


def _style(panel: Panel, engine: str) -> tuple[str, tuple[str, str]]:
    place = panel.names.index(engine)
    return COLOURS[place % len(COLOURS)], _DASHES[place // len(COLOURS) % len(_DASHES)]


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"


def _both(band: Band) -> tuple[list[float | None], list[float | None]]:
    """Return the quartiles where both are known: a band with one end would be filled down to 0."""
    pairs = [
        (None, None) if None in pair else pair for pair in zip(band.low, band.high, strict=True)
    ]
    return [low for low, _ in pairs], [high for _, high in pairs]


def _limits(bands: Sequence[Band]) -> list[float] | None:
    settled = [
        value
        for band in bands
        for series in (band.median, band.low, band.high)
        for at, value in zip(band.at, series, strict=True)
        if value is not None and at >= _SETTLED * band.at[-1]
    ]
    return padded(settled) if settled else None
