"""The figures of the report, by Plotly.

Not by `optuna.visualization`: importing it costs a second (it imports matplotlib), its parallel
coordinates are one trace a trial (3 s for 300), and its colours fade on a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuning.reports.axes import padded, place, ticks
from tuning.reports.curves import learning_curves
from tuning.reports.importance import importances
from tuning.reports.parallel import parallel
from tuning.reports.style import COLOURS, GREY, escaped, styled
from tuning.reports.summary import ParetoFront, Trials, ranked, with_all_values
from tuning.reports.texts import params_text, score
from tuning.space.domains import Choice, Domain
from tuning.space.space import Space
from tuning.study.objective import Objective
from tuning.trial import Status

_FAR = 5  # times the distance from the best that three quarters of the trials keep


@dataclass(frozen=True, kw_only=True)
class Plots:
    """The figures of one search; None where there is nothing to draw.

    Attributes:
        history: Every trial's value, and the best so far.
        curves: The validation metric over epochs.
        parallel: All parameters at once.
        importance: Each parameter's share.
        slices: Each parameter alone.
        note: What is out of the picture, in a sentence; "" where nothing is.
    """

    history: Any = None
    curves: Any = None
    parallel: Any = None
    importance: Any = None
    slices: Any = None
    note: str = ""


def draw(trials: Trials, space: Space, objective: Objective) -> Plots:
    """Draw everything. Text that users wrote is escaped for Plotly, which reads labels as HTML."""
    curves = learning_curves(trials, objective)
    completed = [pair for pair in ranked(trials, objective) if pair[1].status is Status.COMPLETED]
    if not completed:
        return Plots(curves=curves)

    limit = far_limit(_values(completed), objective)
    near = [pair for pair in completed if not objective.better(limit, pair[1].value or 0.0)]
    return Plots(
        history=_history(trials, near, objective),
        curves=curves,
        parallel=parallel(near, space, objective),
        importance=_importance(importances(trials, space, objective)),
        slices=_slices(near, space, objective),
        note=_far_note(len(completed) - len(near), limit),
    )


def far_limit(values: Sequence[float], objective: Objective) -> float:
    """Return the value beyond which a trial would squeeze all others into a corner of the picture.

    It is five times as far from the best as three quarters of the trials are; where no value is
    beyond that, it is the worst value.
    """
    ordered = sorted(values, key=objective.key)
    best = ordered[0]
    worst = ordered[-1]
    upper_quartile = ordered[(3 * (len(ordered) - 1)) // 4]

    reach = _FAR * abs(upper_quartile - best)
    if not 0 < reach < abs(worst - best):
        return worst
    return best + reach if objective.direction == "minimize" else best - reach


def _far_note(n_far: int, limit: float) -> str:
    if n_far == 0:
        return ""
    trials = "1 trial" if n_far == 1 else f"{n_far} trials"
    return f"{trials} beyond {score(limit)} out of the picture."


def _values(trials: Trials) -> list[float]:
    return [result.value for _, result in trials if result.value is not None]


def _history(trials: Trials, near: Trials, objective: Objective) -> Any:
    """Draw the value of every trial, and the best so far; the axis fits the `near` ones."""
    import plotly.graph_objects as go

    figure = go.Figure()
    _add_trials(figure, trials, Status.COMPLETED, {"color": COLOURS[0], "symbol": "circle"})
    _add_trials(figure, trials, Status.PRUNED, {"color": COLOURS[4], "symbol": "x"})

    numbers, best_values = _best_so_far(trials, objective)
    figure.add_scatter(
        x=numbers,
        y=best_values,
        mode="lines",
        name="best so far",
        line={"color": COLOURS[1], "width": 2, "shape": "hv"},
        hoverinfo="skip",
    )
    figure.update_xaxes(title="trial")
    figure.update_yaxes(title=escaped(objective.metric), range=padded(_values(near)))
    return styled(figure, 330)


def _add_trials(figure: Any, trials: Trials, status: Status, marker: dict[str, str]) -> None:
    """Add a mark for each trial that ended with `status` and a value."""
    pairs = [(p, r) for p, r in trials if r.status is status and r.value is not None]
    if not pairs:  # an empty trace would stand in the legend
        return

    figure.add_scatter(
        x=[result.number for _, result in pairs],
        y=_values(pairs),
        mode="markers",
        name=status.value,
        text=[escaped(params_text(proposal.params)) for proposal, _ in pairs],
        marker={"size": 7, **marker},
        hovertemplate="trial %{x}: %{y:.4g}<br>%{text}",
    )


def _best_so_far(trials: Trials, objective: Objective) -> tuple[list[int], list[float]]:
    """Return the numbers of the completed trials, and the best value up to each."""
    numbers: list[int] = []
    best_values: list[float] = []
    for _, result in sorted(trials, key=lambda pair: pair[1].number):
        if result.status is not Status.COMPLETED or result.value is None:
            continue

        best = result.value
        if best_values and not objective.better(best, best_values[-1]):
            best = best_values[-1]
        numbers.append(result.number)
        best_values.append(best)
    return numbers, best_values


def _slices(near: Trials, space: Space, objective: Objective) -> Any:
    """Draw the value over each parameter, side by side."""
    from plotly.subplots import make_subplots

    if not len(space):
        return None

    # All gaps together take at most 15 % of the width.
    gap = 0.15 / max(5, len(space))
    figure = make_subplots(rows=1, cols=len(space), shared_yaxes=True, horizontal_spacing=gap)
    for column, (name, domain) in enumerate(space.domains.items(), start=1):
        _add_slice(figure, column, name, domain, near)

    figure.update_yaxes(title=escaped(objective.metric), col=1)
    figure.update_yaxes(range=padded(_values(near)))
    return styled(figure, 270, legend=False)


def _add_slice(figure: Any, column: int, name: str, domain: Domain, near: Trials) -> None:
    """Draw the trials over one parameter."""
    pairs = [(p, r) for p, r in near if name in p.params and domain.contains(p.params[name])]
    figure.add_scatter(
        row=1,
        col=column,
        x=[_slice_position(domain, proposal.params[name]) for proposal, _ in pairs],
        y=_values(pairs),
        mode="markers",
        showlegend=False,
        text=[escaped(f"trial {r.number}: {params_text(p.params)}") for p, r in pairs],
        hovertemplate="%{y:.4g}<br>%{text}<extra></extra>",
        marker={"color": COLOURS[0], "size": 7, "opacity": 0.7},
    )

    marks = ticks(domain)
    figure.update_xaxes(
        row=1,
        col=column,
        title=escaped(name),
        type="log" if _is_log(domain) else "linear",
        tickvals=[_slice_position(domain, value) for value, _ in marks],
        ticktext=[text for _, text in marks],
        range=_slice_range(domain),
        tickangle=0,
    )


def _slice_position(domain: Domain, value: Any) -> Any:
    """Return where a value stands; numbers stand for themselves."""
    return place(domain, value) if isinstance(domain, Choice) else value


def _is_log(domain: Domain) -> bool:
    return not isinstance(domain, Choice) and domain.log


def _slice_range(domain: Domain) -> list[float]:
    if isinstance(domain, Choice):
        return [-0.25, 1.25]
    if domain.log:
        return padded([math.log10(domain.low), math.log10(domain.high)])
    return padded([domain.low, domain.high])


def _importance(shares: dict[str, float]) -> Any:
    """Draw a bar for each parameter, the largest on top."""
    import plotly.graph_objects as go

    if not shares:
        return None

    # Plotly draws bars from the bottom up.
    ascending = list(reversed(shares.items()))
    figure = go.Figure()
    figure.add_bar(
        x=[share for _, share in ascending],
        y=[escaped(name) for name, _ in ascending],
        orientation="h",
        marker_color=COLOURS[0],
        text=[f"{share:.0%}" for _, share in ascending],
        textposition="outside",
    )
    figure.update_traces(hoverinfo="skip", cliponaxis=False, width=0.6)
    figure.update_xaxes(
        title="share", range=[0, 1.08], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1]
    )
    return styled(figure, 90 + 36 * len(shares), legend=False)


def front_figure(trials: Trials, known: ParetoFront) -> Any:
    """Draw the first objective over each of the others, side by side."""
    from plotly.subplots import make_subplots

    others = known.objectives[1:]
    gap = 0.15 / max(5, len(others))
    figure = make_subplots(rows=1, cols=len(others), shared_yaxes=True, horizontal_spacing=gap)

    of_front = set(known.numbers)
    all_completed = with_all_values(trials)
    behind = [pair for pair in all_completed if pair[1].number not in of_front]
    middle = [pair for pair in known.trials if pair[1].number == known.knee]
    for column, objective in enumerate(others, start=1):
        groups = {
            "other trials": (behind, {"color": GREY, "size": 6}),
            "front": (known.trials, {"color": COLOURS[0], "size": 8}),
            "knee": (middle, {"color": COLOURS[1], "size": 13, "symbol": "star"}),
        }
        for name, (pairs, marker) in groups.items():
            _add_front(figure, column, name, pairs, marker)
        span = _front_range(all_completed, column)
        figure.update_xaxes(title=escaped(objective.metric), range=span, row=1, col=column)

    figure.update_yaxes(title=escaped(known.objectives[0].metric), col=1)
    figure.update_yaxes(range=_front_range(all_completed, 0))
    return styled(figure, 360)


def _add_front(figure: Any, column: int, name: str, pairs: Trials, marker: dict[str, Any]) -> None:
    """Draw trials in one column; the line of a front is drawn for two objectives alone."""
    if not pairs:
        return
    values = [result.values or () for _, result in pairs]
    # With more objectives a front is a surface, and a line through its shadow means nothing.
    is_line = name == "front" and len(values[0]) == 2
    figure.add_scatter(
        row=1,
        col=column,
        x=[row_[column] for row_ in values],
        y=[row_[0] for row_ in values],
        mode="lines+markers" if is_line else "markers",
        line={"shape": "linear", "width": 1, "color": COLOURS[0]} if is_line else None,
        name=name,
        legendgroup=name,
        showlegend=column == 1,
        text=[escaped(f"trial {r.number}: {params_text(p.params)}") for p, r in pairs],
        hovertemplate="%{x:.4g}, %{y:.4g}<br>%{text}<extra></extra>",
        marker=marker,
    )


def _front_range(trials: Trials, k: int) -> list[float]:
    return padded([(result.values or ())[k] for _, result in trials])
