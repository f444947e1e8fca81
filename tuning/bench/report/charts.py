"""Charts of a benchmark that are no statistics: what the engines' own work costs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from tuning.bench.statistics.anytime import by_engine
from tuning.bench.statistics.records import AnytimeRun
from tuning.reports.style import COLOURS, escaped, styled


def asked_times(runs: Sequence[AnytimeRun]) -> Any:
    """Return the engines' seconds over the proposal's number: the median of the seeds that came so
    far, log axis.
    """
    import plotly.graph_objects as go

    drawn = go.Figure()
    for at, (engine, some) in enumerate(by_engine(runs)):
        most = max((len(run.asked_s) for run in some), default=0)
        times = [
            median(run.asked_s[i] for run in some if i < len(run.asked_s)) for i in range(most)
        ]
        drawn.add_scatter(
            x=list(range(1, most + 1)),
            y=times,
            mode="lines+markers" if most < 40 else "lines",
            name=escaped(engine),
            line={
                "color": COLOURS[at % len(COLOURS)],
                "width": 2,
                "dash": "solid" if at < len(COLOURS) else "dash",
            },
            marker={"size": 4},
            hovertemplate=f"{escaped(engine)}: proposal %{{x}} took %{{y:.3g}} s<extra></extra>",
        )
    drawn.update_xaxes(title="proposal")
    drawn.update_yaxes(title="seconds", type="log", dtick=1)
    return styled(drawn, 330)
