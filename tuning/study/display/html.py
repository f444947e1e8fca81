"""Facts and tables as the HTML of `_repr_html_`.

Colours are the page's own, so that light and dark notebooks both work.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from tuning.storage.secrets import without_secrets

_CELL = "text-align:left;padding:2px 12px 2px 0;vertical-align:top"
_NUMBER = "text-align:right;padding:2px 12px 2px 0;font-variant-numeric:tabular-nums"


def text(value: object) -> str:
    """Return a value as HTML text, secrets masked."""
    return html.escape(without_secrets(str(value)))


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """Return a table of names and values; rows without a value are left out."""
    lines = [
        f'<tr><th style="{_CELL};font-weight:normal;opacity:.7">{text(name)}</th>'
        f'<td style="{_CELL}">{text(value)}</td></tr>'
        for name, value in rows
        if value not in (None, "")
    ]
    return f"<table>{''.join(lines)}</table>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a head; numbers stand to the right, with their spread or without."""
    heads = "".join(f'<th style="{_CELL}">{text(name)}</th>' for name in head)
    lines = []
    for row in rows:
        cells = [f'<td style="{_style_of(value)}">{text(value)}</td>' for value in row]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def block(title: str, *parts: str, note: str = "") -> str:
    """Return a titled block of ready HTML, with a remark below."""
    below = f'<p style="opacity:.7">{text(note)}</p>' if note else ""
    return f"<div><p><strong>{text(title)}</strong></p>{''.join(parts)}{below}</div>"


def _style_of(value: object) -> str:
    try:
        float(str(value).partition(" ± ")[0])
    except ValueError:
        return _CELL
    return _NUMBER
