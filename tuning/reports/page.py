"""What all pages of ours are made of: cards, figures, escaped text, one file that needs no network."""

from __future__ import annotations

import html
import json
from pathlib import Path
from string import Template
from typing import Any

from tuning.reports.texts import masked
from tuning.storage.durable import write_bytes


def write_page(path: Path, title: str, body: str) -> Path:
    """Write a page with our style and Plotly in it; one that is there already is replaced. Returns
    its path.

    Args:
        path: Of the file; its folder is made where it is missing.
        title: Plain text.
        body: HTML, what users wrote in it escaped.

    Raises:
        StorageError: The disk is full or read-only.
    """
    from plotly.offline import get_plotlyjs

    template = Template(_beside("report.html"))
    page = template.substitute(
        title=html_text(title), css=_beside("report.css"), plotly=get_plotlyjs(), body=body
    )
    write_bytes(path, page.encode())
    return path


def card(title: str, body: str, note: str = "", *, wide: bool = False) -> str:
    """Return a card; `note` is plain text below its title."""
    told = f'<p class="soft">{html_text(note)}</p>' if note else ""
    return f'<section class="card{" wide" if wide else ""}"><h2>{html_text(title)}</h2>{told}{body}</section>'


def html_figure(name: str, drawn: Any) -> str:
    """Return a Plotly figure as HTML; `name` is unique on the page. None says that there is nothing
    to draw.
    """
    if drawn is None:
        return '<p class="soft">There is nothing to draw yet.</p>'
    # < and > as escapes: a label must not be able to end the script it stands in.
    plot = drawn.to_json().replace("<", "\\u003c").replace(">", "\\u003e")
    config = json.dumps({"responsive": True, "displaylogo": False, "displayModeBar": False})
    return (
        f'<div id="{name}"></div><script>{{ const f = {plot}; Plotly.newPlot("{name}", f.data, f.layout, {config}); }}'
        "</script>"
    )


def html_text(value: object) -> str:
    """Return anything as HTML text, without secrets."""
    return html.escape(masked(str(value)))


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
