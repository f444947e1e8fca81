"""What every page of ours is made of: cards, tables, figures; one file that needs no network."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

from tuning.storage.durable import write_bytes
from tuning.storage.secrets import without_secrets

_PLOTLY_CONFIG = json.dumps({"responsive": True, "displaylogo": False, "displayModeBar": False})


def write_page(path: Path, title: str, body: str) -> Path:
    """Write a page with our style and Plotly in it, in place of the one that is there.

    Args:
        path: Of the file; its folder is made where it is missing.
        title: Plain text.
        body: HTML, what users wrote in it escaped.

    Returns:
        The path.

    Raises:
        StorageError: The disk is full or read-only.
    """
    from plotly.offline import get_plotlyjs

    # Not `str.format`: style and scripts are full of braces.
    template = Template(_beside("report.html"))
    page = template.substitute(
        title=html_text(title), css=_beside("report.css"), plotly=get_plotlyjs(), body=body
    )
    write_bytes(path, page.encode())
    return path


def card(title: str, body: str, note: str = "", *, wide: bool = False, kind: str = "") -> str:
    """Return a card.

    Args:
        title: Plain text.
        body: HTML.
        note: Plain text below the title.
        wide: Whether it takes the page's whole width.
        kind: One more CSS class.
    """
    classes = "card"
    if wide:
        classes += " wide"
    if kind:
        classes += f" {kind}"

    head = f"<h2>{html_text(title)}</h2>"
    if note:
        head += soft(note)
    return f'<section class="{classes}">{head}{body}</section>'


def soft(text: str) -> str:
    """Return a paragraph in the softer colour, of plain text."""
    return f'<p class="soft">{html_text(text)}</p>'


def cell(text: object, kind: str = "", *, sort_key: object = None) -> str:
    """Return a table's cell of plain text.

    Args:
        text: What it says.
        kind: A CSS class: `n` for figures.
        sort_key: What a sortable table sorts it by; None: by its text.
    """
    return html_cell(html_text(text), kind, sort_key=sort_key)


def html_cell(content: str, kind: str = "", *, sort_key: object = None) -> str:
    """Return a table's cell of HTML."""
    attributes = ""
    if kind:
        attributes += f' class="{kind}"'
    if sort_key is not None:
        attributes += f' data-v="{html_text(sort_key)}"'
    return f"<td{attributes}>{content}</td>"


def row(cells: Iterable[str], kind: str = "") -> str:
    """Return a table's row of cells (HTML); `kind` is a CSS class."""
    return _element("tr", "".join(cells), kind)


def table(rows: Iterable[str], heads: Iterable[str] = (), kind: str = "") -> str:
    """Return a table of rows and heading cells (HTML); `kind` is a CSS class."""
    head = "".join(heads)
    if head:
        head = f"<thead><tr>{head}</tr></thead>"
    body = "".join(rows)
    return _element("table", f"{head}<tbody>{body}</tbody>", kind)


def heading(text: object, kind: str = "") -> str:
    """Return a heading cell of plain text; `kind` is a CSS class."""
    return _element("th", html_text(text), kind)


def html_figure(name: str, figure: Any) -> str:
    """Return a Plotly figure as HTML; of None the words that there is nothing to draw.

    Args:
        name: Unique on the page.
        figure: The figure.
    """
    if figure is None:
        return soft("There is nothing to draw yet.")

    # < and > as escapes: a label must not be able to end the script it stands in.
    plot = figure.to_json().replace("<", "\\u003c").replace(">", "\\u003e")
    script = (
        f'{{ const f = {plot}; Plotly.newPlot("{name}", f.data, f.layout, {_PLOTLY_CONFIG}); }}'
    )
    return f'<div id="{name}"></div><script>{script}</script>'


def html_text(value: object) -> str:
    """Return anything as HTML text, without secrets."""
    return html.escape(without_secrets(str(value)))


def _element(tag: str, content: str, kind: str) -> str:
    if kind:
        return f'<{tag} class="{kind}">{content}</{tag}>'
    return f"<{tag}>{content}</{tag}>"


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
