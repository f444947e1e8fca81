"""The page of `tuning compare`: one HTML file that needs no network, all curves in one plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuning.reports.axes import padded
from tuning.reports.compare import Compared, Comparison, difference_rows, rows, space_rows
from tuning.reports.page import card, html_figure, html_text, write_page
from tuning.reports.style import COLOURS, escaped, styled
from tuning.trial import Status

_DASHES = ("solid", "dash", "dot", "dashdot")


def write_comparison(found: Comparison, path: Path) -> Path:
    """Write the page; return its path.

    Raises:
        StorageError: The disk is full or read-only.
    """
    names = [search.name for search in found.searches]
    studies = ", ".join(dict.fromkeys(search.header.study for search in found.searches))
    differing = difference_rows(found)
    same = "<p>Nothing: study, data, versions and code are the same.</p>"
    parts = [
        f"<h1>{html_text(studies)} <span>{len(names)} searches compared</span></h1>",
        *(f'<p class="soft">{html_text(caution)}</p>' for caution in found.cautions),
        '<div class="grid">',
        *_curves(found),
        card("What each is and found", _table(names, rows(found)), wide=True),
        card("What differs", _table(names, differing) if differing else same, wide=True),
        card("Spaces", _table(names, space_rows(found)), wide=True),
        "</div>",
    ]
    return write_page(path, f"{studies}: searches compared", "\n".join(parts))


def curves(searches: Sequence[Compared], unit: str) -> Any:
    """Return a figure with the incumbent of each search over its trained `epochs` or its `seconds`
    of training.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    drawn = []
    for place, search in enumerate(searches):
        xs, ys = incumbent(search, unit)
        drawn += ys
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines+markers" if len(xs) == 1 else "lines",
            name=escaped(search.name),
            line={
                "color": COLOURS[place % len(COLOURS)],
                "width": 2,
                "shape": "hv",
                "dash": _DASHES[place // len(COLOURS) % len(_DASHES)],
            },
            hovertemplate=f"{escaped(search.name)}<br>%{{x:,.4g}} {unit}: %{{y:.4g}}<extra></extra>",
        )
    figure.update_xaxes(
        title="epochs trained" if unit == "epochs" else "seconds of training", rangemode="tozero"
    )
    figure.update_yaxes(title=escaped(searches[0].objective.metric))
    if drawn:
        figure.update_yaxes(range=padded(drawn))
    return styled(figure, 360)


def incumbent(search: Compared, unit: str) -> tuple[list[float], list[float]]:
    """Return where the best value so far stood after each trial, in the order the trials ended;
    from the first value.

    A trial counts with what it cost, whatever its outcome.
    """
    used, xs, ys = 0.0, [], list[float]()
    for _, result in sorted(search.trials, key=lambda pair: (pair[1].ended_at, pair[1].number)):
        used += result.epochs if unit == "epochs" else result.training_s
        best = ys[-1] if ys else None
        if result.status is Status.COMPLETED and result.value is not None:
            best = (
                result.value
                if best is None or search.objective.better(result.value, best)
                else best
            )
        if best is not None:
            xs.append(used)
            ys.append(best)
    return xs, ys


def _curves(found: Comparison) -> list[str]:
    """Return one card for each unit; of searches for different objectives, one for each objective."""
    groups: dict[str, list[Compared]] = {}
    for search in found.searches:
        groups.setdefault(str(search.definition["objective"]), []).append(search)
    cards = []
    for index, (objective, searches) in enumerate(groups.items()):
        head = "Best so far" if found.comparable else f"Best so far, {objective}"
        for unit, name in (("epochs", "over epochs"), ("seconds", "over training time")):
            cards.append(
                card(f"{head}, {name}", html_figure(f"{unit}-{index}", curves(searches, unit)))
            )
    return cards


def _table(names: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]]) -> str:
    head = "".join(f"<th>{html_text(name)}</th>" for name in ("", *names))
    body = "".join(
        f"<tr><td>{html_text(label)}</td>{''.join(f'<td>{html_text(cell)}</td>' for cell in cells)}</tr>"
        for label, cells in lines
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
