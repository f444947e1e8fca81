"""Charts of a benchmark that are no statistics: what the engines' own work costs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from tuning.bench.statistics.anytime import by_engine
from tuning.bench.statistics.records import AnytimeRun
from tuning.reports.style import COLOURS, escaped, styled

_MOST_MARKED = 40  # points of a line; more are drawn without markers


def asked_times(runs: Sequence[AnytimeRun]) -> Any:
    """Return the engines' seconds over the proposal's number, log axis.

    Each point is the median of the seeds that came so far.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for place, (engine, engine_runs) in enumerate(by_engine(runs)):
        seconds = _median_times(engine_runs)
        name = escaped(engine)
        figure.add_scatter(
            x=list(range(1, len(seconds) + 1)),
            y=seconds,
            mode="lines+markers" if len(seconds) < _MOST_MARKED else "lines",
            name=name,
            line={
                "color": COLOURS[place % len(COLOURS)],
                "width": 2,
                "dash": "solid" if place < len(COLOURS) else "dash",
            },
            marker={"size": 4},
            hovertemplate=f"{name}: proposal %{{x}} took %{{y:.3g}} s<extra></extra>",
        )
    figure.update_xaxes(title="proposal")
    figure.update_yaxes(title="seconds", type="log", dtick=1)
    return styled(figure, 330)


def _median_times(runs: Sequence[AnytimeRun]) -> list[float]:
    """Return the engine's seconds for each proposal, the median over the runs that made it."""
    most = max((len(run.asked_s) for run in runs), default=0)
    return [
        median(run.asked_s[proposal] for run in runs if proposal < len(run.asked_s))
        for proposal in range(most)
    ]
