"""The page of `tuning compare`: one HTML file that needs no network, all curves in one plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from tuning.reports.axes import padded
from tuning.reports.compare import (
    Compared,
    Comparison,
    Row,
    difference_rows,
    fact_rows,
    space_rows,
)
from tuning.reports.page import (
    card,
    cell,
    heading,
    html_figure,
    html_text,
    row,
    soft,
    table,
    write_page,
)
from tuning.reports.style import COLOURS, escaped, styled
from tuning.trial import Status

Unit: TypeAlias = Literal["epochs", "seconds"]
"""What trials cost: epochs trained, or seconds of training."""

_AXES: dict[Unit, str] = {"epochs": "epochs trained", "seconds": "seconds of training"}
_TITLES: dict[Unit, str] = {"epochs": "over epochs", "seconds": "over training time"}
_DASHES = ("solid", "dash", "dot", "dashdot")
_NO_DIFFERENCE = "<p>Nothing: study, data, versions and code are the same.</p>"


class Incumbent(NamedTuple):
    """The best value so far, after each trial from the first value on.

    Attributes:
        costs: What all trials up to there have cost together.
        values: The best value up to there.
    """

    costs: list[float]
    values: list[float]


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write the page; return its path.

    Raises:
        StorageError: The disk is full or read-only.
    """
    names = [search.name for search in comparison.searches]
    studies = ", ".join(dict.fromkeys(search.header.study for search in comparison.searches))
    differences = difference_rows(comparison)

    parts = [
        f"<h1>{html_text(studies)} <span>{len(names)} searches compared</span></h1>",
        *(soft(caution) for caution in comparison.cautions),
        '<div class="grid">',
        *_curve_cards(comparison),
        card("What each is and gave", _table(names, fact_rows(comparison)), wide=True),
        card(
            "What differs",
            _table(names, differences) if differences else _NO_DIFFERENCE,
            wide=True,
        ),
        card("Spaces", _table(names, space_rows(comparison)), wide=True),
        "</div>",
    ]
    return write_page(path, f"{studies}: searches compared", "\n".join(parts))


def curves(searches: Sequence[Compared], unit: Unit) -> Any:
    """Return a figure with the incumbent of each search over what its trials cost."""
    import plotly.graph_objects as go

    figure = go.Figure()
    values = []
    for index, search in enumerate(searches):
        line = incumbent(search, unit)
        values += line.values
        name = escaped(search.name)
        figure.add_scatter(
            x=line.costs,
            y=line.values,
            # A single point makes no line.
            mode="lines+markers" if len(line.costs) == 1 else "lines",
            name=name,
            line={"width": 2, "shape": "hv", **_line_style(index)},
            hovertemplate=f"{name}<br>%{{x:,.4g}} {unit}: %{{y:.4g}}<extra></extra>",
        )

    figure.update_xaxes(title=_AXES[unit], rangemode="tozero")
    figure.update_yaxes(title=escaped(searches[0].objective.metric))
    if values:
        figure.update_yaxes(range=padded(values))
    return styled(figure, 360)


def _line_style(index: int) -> dict[str, str]:
    """Return colour and dashes; lines of one colour have other dashes."""
    n_rounds, colour = divmod(index, len(COLOURS))
    return {"color": COLOURS[colour], "dash": _DASHES[n_rounds % len(_DASHES)]}


def incumbent(search: Compared, unit: Unit) -> Incumbent:
    """Return the best value so far after each trial, in the order in which the trials ended.

    A trial counts with what it cost, whatever its outcome.
    """
    # Trials on several slots do not end in the order of their numbers.
    results = [result for _, result in search.trials]
    results.sort(key=lambda result: (result.ended_at, result.number))

    line = Incumbent([], [])
    cost = 0.0
    best: float | None = None
    for result in results:
        cost += result.epochs if unit == "epochs" else result.training_s
        value = result.value if result.status is Status.COMPLETED else None
        if value is not None and (best is None or search.objective.better(value, best)):
            best = value
        if best is not None:
            line.costs.append(cost)
            line.values.append(best)
    return line


def _curve_cards(comparison: Comparison) -> list[str]:
    """Return a card for each objective and each unit of cost."""
    groups: dict[str, list[Compared]] = {}
    for search in comparison.searches:
        groups.setdefault(str(search.definition["objective"]), []).append(search)

    cards = []
    for index, (objective, searches) in enumerate(groups.items()):
        title = "Best so far" if comparison.comparable else f"Best so far, {objective}"
        for unit, ending in _TITLES.items():
            figure = html_figure(f"{unit}-{index}", curves(searches, unit))
            cards.append(card(f"{title}, {ending}", figure))
    return cards


def _table(names: Sequence[str], rows: Sequence[Row]) -> str:
    heads = [heading(name) for name in ("", *names)]
    html_rows = [row(cell(text) for text in (line.label, *line.cells)) for line in rows]
    return f'<div class="scroll">{table(html_rows, heads)}</div>'
