"""The table of `make perf` in `docs/benchmarks.md`: written by a whole run, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.courses import put_between
from benchmarks.perf.records import Part, Row
from tuning.schema import Json

BEGIN = "<!-- perf: begin, written by `make perf` -->"
END = "<!-- perf: end -->"


def write_page(page: Path, parts: Sequence[Part], about: Json) -> bool:
    """Put the figures into a page between its markers; return whether it has any.

    Args:
        page: Markdown.
        parts: What was measured.
        about: The machine, as `report.machine` has it.
    """
    text = put_between(page.read_text(encoding="utf-8"), markdown(parts, about), BEGIN, END)
    if text is not None:
        page.write_text(text, encoding="utf-8")
    return text is not None


def markdown(parts: Sequence[Part], about: Json) -> str:
    """Return the machine in a line, then a row for each comparison."""
    libraries = about["libraries"]
    named = ", ".join(f"{name} {version}" for name, version in libraries.items())
    lines = [
        f"Measured on {about['date']} at commit {about['commit'][:12]}: {about['cpu']}, "
        f"{about['cores']} cores, Python {about['python']}, {named}. Medians.",
        "",
        "| part | compared | unit | figures | ours is better by |",
        "|---|---|---|---|--:|",
    ]
    lines += [f"| {' | '.join(cells)} |" for part in parts for cells in _rows(part)]
    return "\n".join(lines)


def _rows(part: Part) -> Iterator[tuple[str, ...]]:
    for row in part.rows:
        figures = ", ".join(f"{side} {figure:.3g}" for side, figure in row.medians.items())
        yield part.key, row.name.replace("|", r"\|"), row.unit, figures, _ratios(row)


def _ratios(row: Row) -> str:
    return ", ".join(f"{row.ratio(other):.3g} × ({other})" for other in row.against) or "–"
