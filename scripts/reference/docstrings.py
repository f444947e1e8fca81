"""What our docstrings say, as Markdown: a head, and a text for each attribute."""

from __future__ import annotations

import inspect
import re
from typing import Any

_SECTION = re.compile(r"^(Attributes|Args|Returns|Raises|Source|Yields):$", flags=re.MULTILINE)
_ENTRY = re.compile(r"^ {4}([\w, ]+): (.*)$")


def head_of(documented: Any) -> str:
    """Return what a docstring says before its sections, its paragraphs in one line each."""
    text = inspect.getdoc(documented) or ""
    found = _SECTION.search(text)
    text = text[: found.start()] if found else text
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def attributes_of(documented: Any) -> dict[str, str]:
    """Return what the section `Attributes:` says of each name.

    Names that share an entry (`cpu_s, gpu_s: …`) share its text.
    """
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in _attribute_lines(inspect.getdoc(documented) or ""):
        entry = _ENTRY.match(line)
        if entry is not None:
            names = [name.strip() for name in entry[1].split(",")]
            texts.update(dict.fromkeys(names, entry[2].strip()))
        elif line.strip():
            for name in names:
                texts[name] += f" {line.strip()}"
    return texts


def _attribute_lines(text: str) -> list[str]:
    _, found, rest = text.partition("Attributes:\n")
    if not found:
        return []
    lines = []
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break
        lines.append(line)
    return lines


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table; a `|` in a cell is no border."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
