"""Pictures of a learning-rate range test: an interactive page by Plotly, a PNG by matplotlib.

Plotly alone cannot write a PNG: its exporter, kaleido, needs a Chrome. matplotlib is there with
MLflow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuning.errors import StudyError
from tuning.lr_range.result import DEFINITIONS, LRRange
from tuning.reports.axes import log_ticks, padded
from tuning.reports.page import write_page
from tuning.reports.style import COLOURS, escaped, styled
from tuning.reports.texts import score, shown
from tuning.storage.durable import write_bytes


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


_BAND = "rgba(47,127,223,0.18)"
_MARKS = ("circle", "square", "diamond", "triangle-up")
_PNG_MARKS = ("o", "s", "D", "^")


def write(test: LRRange, path: Path) -> Path:
    """Write a picture of the kind its name asks for, `.html` or `.png`; return its path.

    Raises:
        StudyError: Another kind.
        StorageError: The disk is full or read-only.
    """
    if path.suffix not in (".html", ".png"):
        raise StudyError(f"cannot write {path.name!r}: the name must end in .html or .png")
    return write_html([test], path) if path.suffix == ".html" else write_png([test], path)


def figure(test: LRRange) -> Any:
    """Return the curve on a log axis, the band of the seeds, the suggestions and the interval to
    search in.
    """
    import plotly.graph_objects as go

    drawn = go.Figure()
    if test.seeds > 1:
        band = [*test.high, *test.low[::-1]]
        drawn.add_scatter(
            x=[*test.lrs, *test.lrs[::-1]],
            y=band,
            fill="toself",
            fillcolor=_BAND,
            line={"width": 0},
            name=f"all {test.seeds} seeds",
            hoverinfo="skip",
        )
    drawn.add_scatter(
        x=test.lrs,
        y=test.losses,
        mode="lines",
        line={"color": COLOURS[0], "width": 2},
        name="smoothed loss",
        hovertemplate="rate %{x:.3g}: loss %{y:.4g}<extra></extra>",
    )
    for (name, rate), colour, symbol in zip(
        test.suggestions.items(), COLOURS[1:], _MARKS, strict=False
    ):
        drawn.add_scatter(
            x=[rate],
            y=[_loss_at(test, rate)],
            mode="markers",
            name=f"{_words(name)} {shown(rate)}",
            marker={
                "color": colour,
                "size": 11,
                "symbol": symbol,
                "line": {"color": "white", "width": 1},
            },
            hovertemplate=f"<b>{_words(name)}: {rate:.3g}</b><br>{escaped(_why(test, name))}<extra></extra>",
        )
    low, high = test.interval
    drawn.add_vrect(x0=low, x1=high, fillcolor="rgba(42,157,92,0.10)", line_width=0, layer="below")
    bottom, top, log = _loss_range(test)
    marks = _decades(test)
    drawn.update_xaxes(
        title="learning rate", type="log", tickvals=marks, ticktext=[f"{v:g}" for v in marks]
    )
    drawn.update_yaxes(
        title="loss", range=padded([math.log10(bottom), math.log10(top)] if log else [bottom, top])
    )
    if log:
        ticks = log_ticks(bottom, top)
        drawn.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{v:g}" for v in ticks])
    return styled(drawn, 420)


def write_html(
    tests: Sequence[LRRange], path: Path, title: str = "learning-rate range test"
) -> Path:
    """Write one page that needs no network, with a card for each test; return its path."""
    return write_page(
        path, title, f'<h1>{escaped(title)}</h1><div class="grid">{cards(tests)}</div>'
    )


def cards(tests: Sequence[LRRange]) -> str:
    """Return a card of HTML for each test: its curve and its suggestions with their definitions."""
    return "".join(_card(i, test) for i, test in enumerate(tests))


def _card(index: int, test: LRRange) -> str:
    rows = "".join(
        f'<tr><td>{_words(name)}</td><td class="n">{shown(rate)}</td><td>{escaped(_why(test, name))}</td></tr>'
        for name, rate in test.suggestions.items()
    )
    plot = json.loads(figure(test).to_json())
    text = json.dumps({"data": plot["data"], "layout": plot["layout"]})
    text = text.replace("<", "\\u003c").replace(
        ">", "\\u003e"
    )  # a label must not end the script it stands in
    name = f"lr-range-{index}"
    return (
        f'<section class="card wide"><h2>Learning-rate range test</h2><p class="soft">{escaped(test.label)}</p>'
        f'<div id="{name}" class="plot"></div><script>{{const f = {text};'
        f'Plotly.newPlot("{name}", f.data, f.layout, {{responsive: true, displayModeBar: false}});}}</script>'
        "<table><thead><tr><th>suggestion</th><th class=n>rate</th><th>what it is</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
        f'<p class="soft">Worth searching: {shown(test.interval[0])} … {shown(test.interval[1])} (green). '
        f"{test.seeds} seed{'s' * (test.seeds > 1)}, batches of {test.batch_size}, {test.steps} steps from "
        f"{shown(test.lr_min)} to {shown(test.lr_max)}; the lowest smoothed loss was {score(float(test.losses.min()))}."
        "</p></section>"
    )


def write_png(tests: Sequence[LRRange], path: Path) -> Path:
    """Write one picture with a panel for each test; return its path. No browser and no display are
    needed.
    """
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(9, 4.6 * len(tests)), dpi=130, layout="constrained")
    FigureCanvasAgg(sheet)
    for axes, test in zip(np.ravel(sheet.subplots(len(tests), 1)), tests, strict=True):
        _draw(axes, test)
    drawn = io.BytesIO()
    sheet.savefig(drawn, format="png")
    write_bytes(path, drawn.getvalue())
    return path


def _draw(axes: Any, test: LRRange) -> None:
    if test.seeds > 1:
        axes.fill_between(
            test.lrs, test.low, test.high, alpha=0.18, color=COLOURS[0], lw=0, label="all seeds"
        )
    axes.plot(test.lrs, test.losses, color=COLOURS[0], lw=2, label="smoothed loss")
    for (name, rate), colour, mark in zip(
        test.suggestions.items(), COLOURS[1:], _PNG_MARKS, strict=False
    ):
        text = f"{_words(name)} {shown(rate)}" + (" (*)" if name in test.reasons else "")
        axes.plot([rate], [_loss_at(test, rate)], mark, color=colour, ms=8, mec="white", label=text)
    axes.axvspan(*test.interval, color=COLOURS[2], alpha=0.10, lw=0, label="worth searching")
    bottom, top, log = _loss_range(test)
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title=test.label or None)
    if log:
        axes.set_yscale("log")
    axes.set_ylim(
        *(10**v for v in padded([math.log10(bottom), math.log10(top)]))
        if log
        else padded([bottom, top])
    )
    axes.title.set_fontsize(9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="best")


def _loss_at(test: LRRange, rate: float) -> float:
    """Return the loss where a suggestion is marked; one above the curve stands at its end."""
    return float(np.interp(math.log(rate), np.log(test.lrs), test.losses))


def _loss_range(test: LRRange) -> tuple[float, float, bool]:
    """Return (lowest, highest, log?) of what is worth seeing: the band may go far beyond where it
    diverges.
    """
    bottom, top = float(test.low.min()), float(test.high.max())
    if test.losses.max() > 0:
        top = min(top, 1.5 * float(test.losses.max()))
    return bottom, top, bottom > 0 and top > 20 * bottom


def _decades(test: LRRange) -> list[float]:
    ends = [*test.lrs[[0, -1]], *test.suggestions.values()]
    return [
        10.0**power
        for power in range(math.floor(math.log10(min(ends))), math.ceil(math.log10(max(ends))) + 1)
    ]


def _why(test: LRRange, name: str) -> str:
    """Return what a suggestion is, and why it is not what it should be where that is so."""
    reason = test.reasons.get(name)
    return DEFINITIONS[name] + (f" – {reason}" if reason else "")


def _words(name: str) -> str:
    return {"min_over_10": "minimum / 10"}.get(name, name.replace("_", " "))
