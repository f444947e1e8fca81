"""The page of `tuning compare`: one HTML file that needs no network, all curves in one plot."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from tuning.durable import write_bytes
from tuning.reports.axes import padded
from tuning.reports.compare import Compared, Comparison, difference_rows, rows, space_rows
from tuning.reports.look import COLOURS, escaped, styled
from tuning.reports.texts import masked
from tuning.trial import Status

_DASHES = ("solid", "dash", "dot", "dashdot")


def write_page(found: Comparison, path: Path) -> Path:
    """Write the page; return its path.

    Raises:
        StorageError: The disk is full or read-only.
    """
    from plotly.offline import get_plotlyjs

    names = [search.name for search in found.searches]
    cautions = "".join(f"<li>{_text(caution)}</li>" for caution in found.cautions)
    differing = difference_rows(found)
    parts = [
        f"<h1>{_text(' · '.join(dict.fromkeys(str(s.header['study']) for s in found.searches)))} "
        f"<span>{len(names)} searches compared</span></h1>",
        f'<p class="soft">Read with care:</p><ul class="soft">{cautions}</ul>' if cautions else "",
        '<div class="grid">', *_curves(found),
        _card("What each is and found", _table(names, rows(found))),
        _card(
            "What differs",
            _table(names, differing) if differing else "<p>Nothing: study, data, versions and code are the same.</p>",
        ),
        _card("Spaces", _table(names, space_rows(found))), "</div>",
    ]  # fmt: skip
    folder = Path(__file__).parent
    template = Template((folder / "report.html").read_text(encoding="utf-8"))
    css = (folder / "report.css").read_text(encoding="utf-8")
    page = template.substitute(title="searches compared", css=css, plotly=get_plotlyjs(), body="\n".join(parts))
    write_bytes(path, page.encode())
    return path


def curves(searches: Sequence[Compared], unit: str) -> Any:
    """Return a figure with the incumbent of each search over its trained `epochs` or its `seconds` of training."""
    import plotly.graph_objects as go

    figure = go.Figure()
    drawn = []
    for place, search in enumerate(searches):
        xs, ys = incumbent(search, unit)
        drawn += ys
        figure.add_scatter(
            x=xs, y=ys, mode="lines+markers" if len(xs) == 1 else "lines", name=escaped(search.name),
            line={"color": COLOURS[place % len(COLOURS)], "width": 2, "shape": "hv",
                  "dash": _DASHES[place // len(COLOURS) % len(_DASHES)]},
            hovertemplate=f"{escaped(search.name)}<br>%{{x:,.4g}} {unit}: %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="epochs trained" if unit == "epochs" else "seconds of training", rangemode="tozero")
    figure.update_yaxes(title=escaped(searches[0].objective.metric))
    if drawn:
        figure.update_yaxes(range=padded(drawn))
    return styled(figure, 360)


def incumbent(search: Compared, unit: str) -> tuple[list[float], list[float]]:
    """Return where the best value so far stood after each trial, in the order the trials ended; from the first value.

    A trial counts with what it cost, whatever its outcome.
    """
    used, xs, ys = 0.0, [], list[float]()
    for _, result in sorted(search.trials, key=lambda pair: (pair[1].ended_at, pair[1].number)):
        used += result.epochs if unit == "epochs" else result.training_s
        best = ys[-1] if ys else None
        if result.status is Status.COMPLETED and result.value is not None:
            best = result.value if best is None or search.objective.better(result.value, best) else best
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
            cards.append(_card(f"{head}, {name}", _figure(f"{unit}-{index}", curves(searches, unit)), wide=False))
    return cards


def _figure(name: str, figure: Any) -> str:
    # < and > as escapes: a label must not be able to end the script it stands in.
    drawn = figure.to_json().replace("<", "\\u003c").replace(">", "\\u003e")
    config = json.dumps({"responsive": True, "displaylogo": False, "displayModeBar": False})
    return (
        f'<div id="{name}"></div><script>{{ const f = {drawn}; Plotly.newPlot("{name}", f.data, f.layout, {config}); }}'
        "</script>"
    )


def _table(names: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in ("", *names))
    body = "".join(
        f"<tr><td>{_text(label)}</td>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"
        for label, cells in lines
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _card(title: str, body: str, *, wide: bool = True) -> str:
    return f'<section class="card{" wide" if wide else ""}"><h2>{_text(title)}</h2>{body}</section>'


def _text(value: object) -> str:
    return html.escape(masked(str(value)))
