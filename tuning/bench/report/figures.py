"""Anytime curves of a benchmark with their bands, by Plotly and by matplotlib.

matplotlib's are PNGs that need no browser.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tuning.bench.statistics.anytime import Band
from tuning.reports.axes import padded
from tuning.reports.style import COLOURS, escaped, styled
from tuning.storage.durable import write_bytes

_OPACITY = 0.13  # of a band

# The axis shows what curves do after this share of the budget; before it they fall from far above.
_SETTLED = 0.1


class _Dash(NamedTuple):
    """How a line is broken, in the words of both libraries."""

    plotly: str
    matplotlib: str


_DASHES = (_Dash("solid", "-"), _Dash("dash", "--"), _Dash("dot", ":"), _Dash("dashdot", "-."))


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture of anytime curves.

    Attributes:
        title: e.g. `Validation, over epochs`.
        metric: Word at the y axis: `val_rmse`.
        unit: Word at the x axis: `epochs`.
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
        _add_band(figure, panel, band)
    for band in panel.bands:  # lines lie above all bands
        _add_median(figure, panel, band)

    figure.update_xaxes(title=escaped(panel.unit), rangemode="tozero")
    figure.update_yaxes(title=escaped(panel.metric))
    limits = _limits(panel.bands)
    if limits is not None:
        figure.update_yaxes(range=limits)
    return styled(figure, height)


def _add_band(figure: Any, panel: Panel, band: Band) -> None:
    quartiles = _quartiles(band)
    edge = {
        "mode": "lines",
        "line": {"width": 0, "shape": "hv"},
        "legendgroup": escaped(band.engine),
        "hoverinfo": "skip",
        "showlegend": False,
    }

    # "tonexty" fills down to the trace added before it, so the lower edge comes first.
    fill = _faint(_colour(panel, band.engine))
    figure.add_scatter(x=band.at, y=quartiles.low, **edge)
    figure.add_scatter(x=band.at, y=quartiles.high, fill="tonexty", fillcolor=fill, **edge)


def _add_median(figure: Any, panel: Panel, band: Band) -> None:
    name = escaped(band.engine)
    figure.add_scatter(
        x=band.at,
        y=band.median,
        mode="lines",
        name=name,
        legendgroup=name,
        line={
            "color": _colour(panel, band.engine),
            "width": 2,
            "shape": "hv",
            "dash": _dash(panel, band.engine).plotly,
        },
        hovertemplate=f"{name}<br>%{{x:,.4g}} {escaped(panel.unit)}: %{{y:.4g}}<extra></extra>",
    )


def write_anytime_png(panels: Sequence[Panel], path: Path) -> Path:
    """Write the panels under one another as a PNG; return its path.

    Raises:
        StorageError: The disk is full or read-only.
    """
    figure, axes = sheet(len(panels), 4.2)
    for ax, panel in zip(axes, panels, strict=True):
        for band in panel.bands:
            _draw_band(ax, panel, band)

        ax.set_title(panel.title, loc="left", fontsize=11)
        ax.set(xlabel=panel.unit, ylabel=panel.metric)
        limits = _limits(panel.bands)
        if limits is not None:
            ax.set_ylim(*limits)

        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=9, ncols=2)
    return save(figure, path)


def _draw_band(ax: Any, panel: Panel, band: Band) -> None:
    """Draw one engine's line and band with matplotlib, which takes NaN where ours have None."""
    colour = _colour(panel, band.engine)
    quartiles = _quartiles(band)

    ax.fill_between(
        band.at,
        np.array(quartiles.low, dtype=float),
        np.array(quartiles.high, dtype=float),
        step="post",
        color=colour,
        alpha=_OPACITY,
        linewidth=0,
    )

    ax.step(
        band.at,
        np.array(band.median, dtype=float),
        where="post",
        color=colour,
        linestyle=_dash(panel, band.engine).matplotlib,
        linewidth=1.8,
        label=band.engine,
    )


def sheet(panels: int, inches: float) -> tuple[Any, np.ndarray]:
    """Return a matplotlib figure that needs no display, and its axes under one another.

    Args:
        panels: How many axes.
        inches: Height of each.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, inches * panels), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, np.ravel(figure.subplots(panels, 1))


def save(figure: Any, path: Path) -> Path:
    """Write a matplotlib figure as PNG, whole or not at all; return its path.

    Raises:
        StorageError: The disk is full or read-only.
    """
    png = io.BytesIO()
    figure.savefig(png, format="png")
    write_bytes(path, png.getvalue())
    return path


def _colour(panel: Panel, engine: str) -> str:
    place = panel.names.index(engine)
    return COLOURS[place % len(COLOURS)]


def _dash(panel: Panel, engine: str) -> _Dash:
    """Return the dash of an engine: another one each time the colours are used up."""
    place = panel.names.index(engine)
    return _DASHES[place // len(COLOURS) % len(_DASHES)]


def _faint(colour: str) -> str:
    """Return `#rrggbb` as a band has it."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return f"rgba({red},{green},{blue},{_OPACITY})"


class _Quartiles(NamedTuple):
    """The edges of a band."""

    low: list[float | None]
    high: list[float | None]


def _quartiles(band: Band) -> _Quartiles:
    """Return the quartiles where both are known: a band with one end would be filled down to 0."""
    quartiles = _Quartiles([], [])
    for low, high in zip(band.low, band.high, strict=True):
        is_whole = low is not None and high is not None
        quartiles.low.append(low if is_whole else None)
        quartiles.high.append(high if is_whole else None)
    return quartiles


def _limits(bands: Sequence[Band]) -> list[float] | None:
    """Return the ends of the y axis: what the settled part of all curves takes; None: no limits."""
    settled = []
    for band in bands:
        for series in (band.median, band.low, band.high):
            for at, value in zip(band.at, series, strict=True):
                if value is not None and at >= _SETTLED * band.at[-1]:
                    settled.append(value)
    return padded(settled) if settled else None
