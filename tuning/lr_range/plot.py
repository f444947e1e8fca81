"""Pictures of a learning-rate range test: an interactive page by Plotly, a PNG by matplotlib.

Plotly alone cannot write a PNG: its exporter, kaleido, needs a Chrome. matplotlib is there with
MLflow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tuning.errors import StudyError
from tuning.lr_range.result import DEFINITIONS, LRRange
from tuning.reports.axes import log_ticks, padded
from tuning.reports.page import write_page
from tuning.reports.style import COLOURS, escaped, styled
from tuning.reports.texts import score, value_text
from tuning.storage.durable import write_bytes

_BAND = "rgba(47,127,223,0.18)"
_INTERVAL = "rgba(42,157,92,0.10)"
_MARKS = ("circle", "square", "diamond", "triangle-up")
_PNG_MARKS = ("o", "s", "D", "^")


class PlottableLRRange(LRRange):
    """A range test that draws itself: what `lr_range_test` returns."""

    def plot(self, path: str | Path | None = None) -> Any:
        """Return an interactive Plotly figure: log axis, band, suggestions marked.

        Args:
            path: Also write it: `.html`, or `.png` (drawn by matplotlib).
        """
        if path is not None:
            write(self, Path(path))
        return figure(self)


def write(test: LRRange, path: Path) -> Path:
    """Write a picture of the kind its name asks for, `.html` or `.png`; return its path.

    Raises:
        StudyError: Another kind.
        StorageError: The disk is full or read-only.
    """
    if path.suffix == ".html":
        return write_html([test], path)
    if path.suffix == ".png":
        return write_png([test], path)
    raise StudyError(f"cannot write {path.name!r}: the name must end in .html or .png")


def figure(test: LRRange) -> Any:
    """Return the curve on a log axis, with the band of the seeds.

    The suggestions and the interval to search in are marked.
    """
    import plotly.graph_objects as go

    drawing = go.Figure()
    if test.seeds > 1:
        # One closed line around the band: forth along the highest losses, back along the lowest.
        drawing.add_scatter(
            x=[*test.lrs, *test.lrs[::-1]],
            y=[*test.high, *test.low[::-1]],
            fill="toself",
            fillcolor=_BAND,
            line={"width": 0},
            name=f"all {test.seeds} seeds",
            hoverinfo="skip",
        )
    drawing.add_scatter(
        x=test.lrs,
        y=test.losses,
        mode="lines",
        line={"color": COLOURS[0], "width": 2},
        name="smoothed loss",
        hovertemplate="rate %{x:.3g}: loss %{y:.4g}<extra></extra>",
    )
    _mark_suggestions(drawing, test)
    low, high = test.interval
    drawing.add_vrect(x0=low, x1=high, fillcolor=_INTERVAL, line_width=0, layer="below")

    powers = _powers_of_ten(test)
    drawing.update_xaxes(
        title="learning rate",
        type="log",
        tickvals=powers,
        ticktext=[f"{power:g}" for power in powers],
    )
    losses = _losses_to_show(test)
    drawing.update_yaxes(title="loss", range=losses.padded_range)
    if losses.log:
        ticks = log_ticks(losses.bottom, losses.top)
        drawing.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    return styled(drawing, 420)


def _mark_suggestions(drawing: Any, test: LRRange) -> None:
    marks = zip(test.suggestions.items(), COLOURS[1:], _MARKS, strict=False)
    for (name, rate), colour, symbol in marks:
        title = f"<b>{_name_text(name)}: {rate:.3g}</b>"

        drawing.add_scatter(
            x=[rate],
            y=[_loss_at(test, rate)],
            mode="markers",
            name=f"{_name_text(name)} {value_text(rate)}",
            marker={
                "color": colour,
                "size": 11,
                "symbol": symbol,
                "line": {"color": "white", "width": 1},
            },
            hovertemplate=f"{title}<br>{escaped(_why(test, name))}<extra></extra>",
        )


def write_html(
    tests: Sequence[LRRange], path: Path, title: str = "learning-rate range test"
) -> Path:
    """Write one page that needs no network, with a card for each test; return its path."""
    body = f'<h1>{escaped(title)}</h1><div class="grid">{cards(tests)}</div>'
    return write_page(path, title, body)


def cards(tests: Sequence[LRRange]) -> str:
    """Return a card of HTML for each test: its curve and its suggestions with their definitions."""
    return "".join(_card(i, test) for i, test in enumerate(tests))


def _card(index: int, test: LRRange) -> str:
    name = f"lr-range-{index}"
    seeds = "1 seed" if test.seeds == 1 else f"{test.seeds} seeds"
    low, high = test.interval

    return (
        '<section class="card wide"><h2>Learning-rate range test</h2>'
        f'<p class="soft">{escaped(test.label)}</p>'
        f'<div id="{name}" class="plot"></div>'
        f"<script>{{const f = {_figure_json(test)};"
        f'Plotly.newPlot("{name}", f.data, f.layout, '
        "{responsive: true, displayModeBar: false});}</script>"
        "<table><thead>"
        "<tr><th>suggestion</th><th class=n>rate</th><th>what it is</th></tr>"
        f"</thead><tbody>{_suggestion_rows(test)}</tbody></table>"
        f'<p class="soft">Worth searching: {value_text(low)} … {value_text(high)} (green). '
        f"{seeds}, batches of {test.batch_size}, {test.steps} steps from "
        f"{value_text(test.lr_min)} to {value_text(test.lr_max)}; "
        f"the lowest smoothed loss was {score(float(test.losses.min()))}."
        "</p></section>"
    )


def _figure_json(test: LRRange) -> str:
    plot = json.loads(figure(test).to_json())
    text = json.dumps({"data": plot["data"], "layout": plot["layout"]})
    # A label must not end the script it stands in.
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def _suggestion_rows(test: LRRange) -> str:
    return "".join(
        f'<tr><td>{_name_text(name)}</td><td class="n">{value_text(rate)}</td>'
        f"<td>{escaped(_why(test, name))}</td></tr>"
        for name, rate in test.suggestions.items()
    )


def write_png(tests: Sequence[LRRange], path: Path) -> Path:
    """Write one picture with a panel for each test; return its path.

    No browser and no display are needed.
    """
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not `pyplot`: it would look for a display, and hold the figure until it is closed.
    sheet = Figure(figsize=(9, 4.6 * len(tests)), dpi=130, layout="constrained")
    FigureCanvasAgg(sheet)
    panels = np.ravel(sheet.subplots(len(tests), 1))
    for axes, test in zip(panels, tests, strict=True):
        _draw(axes, test)

    png = io.BytesIO()
    sheet.savefig(png, format="png")
    write_bytes(path, png.getvalue())
    return path


def _draw(axes: Any, test: LRRange) -> None:
    """Draw one test into a panel of matplotlib's."""
    if test.seeds > 1:
        axes.fill_between(
            test.lrs, test.low, test.high, alpha=0.18, color=COLOURS[0], lw=0, label="all seeds"
        )
    axes.plot(test.lrs, test.losses, color=COLOURS[0], lw=2, label="smoothed loss")

    marks = zip(test.suggestions.items(), COLOURS[1:], _PNG_MARKS, strict=False)
    for (name, rate), colour, mark in marks:
        label = f"{_name_text(name)} {value_text(rate)}"
        if name in test.reasons:
            label += " (*)"
        loss = _loss_at(test, rate)
        axes.plot([rate], [loss], mark, color=colour, ms=8, mec="white", label=label)
    axes.axvspan(*test.interval, color=COLOURS[2], alpha=0.10, lw=0, label="worth searching")

    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title=test.label or None)
    losses = _losses_to_show(test)
    if losses.log:
        axes.set_yscale("log")
        axes.set_ylim(*(10**power for power in losses.padded_range))
    else:
        axes.set_ylim(*losses.padded_range)

    axes.title.set_fontsize(9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="best")


class _LossRange(NamedTuple):
    """The losses that an axis shows; `log`: on a logarithmic scale."""

    bottom: float
    top: float
    log: bool

    @property
    def padded_range(self) -> list[float]:
        """The ends of the axis, as powers of ten where it is logarithmic."""
        if self.log:
            return padded([math.log10(self.bottom), math.log10(self.top)])
        return padded([self.bottom, self.top])


def _losses_to_show(test: LRRange) -> _LossRange:
    """Return what is worth seeing: the band may go far beyond where the sweep diverges."""
    bottom = float(test.low.min())
    top = float(test.high.max())
    highest = float(test.losses.max())
    if highest > 0:
        top = min(top, 1.5 * highest)
    return _LossRange(bottom, top, log=bottom > 0 and top > 20 * bottom)


def _loss_at(test: LRRange, rate: float) -> float:
    """Return the loss where a suggestion is marked; one above the curve stands at its end."""
    return float(np.interp(math.log(rate), np.log(test.lrs), test.losses))


def _powers_of_ten(test: LRRange) -> list[float]:
    """Return the powers of ten from below the lowest rate drawn to above the highest."""
    rates = [test.lrs[0], test.lrs[-1], *test.suggestions.values()]
    first = math.floor(math.log10(min(rates)))
    last = math.ceil(math.log10(max(rates)))
    return [10.0**power for power in range(first, last + 1)]


def _why(test: LRRange, name: str) -> str:
    """Return what a suggestion is, and why it is not what it should be where that is so."""
    definition = DEFINITIONS[name]
    if name in test.reasons:
        return f"{definition} – {test.reasons[name]}"
    return definition


def _name_text(name: str) -> str:
    return "minimum / 10" if name == "min_over_10" else name.replace("_", " ")
