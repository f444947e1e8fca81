"""The space of one study as a table: what is searched, when each parameter exists, what is open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tuning.space.domains import Choice, Domain, FromRangeTest
from tuning.space.space import Space, condition_words
from tuning.trial import Params


@dataclass(frozen=True, kw_only=True)
class Row:
    """One parameter under one of its conditions.

    Attributes:
        name: Of the parameter; one with several alternatives has a row for each.
        domain: In words, e.g. `32 … 512, steps of 32`.
        condition: When it exists, e.g. `layers in [2, 3]`; "": always.
        default: Where a search begins, as the builder names it; "": nowhere.
    """

    name: str
    domain: str
    condition: str
    default: str


@dataclass(frozen=True, kw_only=True)
class SpaceTable:
    """What `tuning list --space` prints.

    Attributes:
        study: Its name.
        rows: Of all parameters.
        notes: What is approximate, and what was not explored.
    """

    study: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "study": self.study,
            "space": [asdict(row) for row in self.rows],
            "notes": [*self.notes],
        }


def space_table(name: str) -> SpaceTable:
    """Load a study, run its builder where that says the space, and return the table.

    Args:
        name: Of the study, or the path of its file.

    Raises:
        StudyError: There is no such study, or its builder cannot be run.
    """
    from tuning.study.study import load_study

    study = load_study(name)
    study.check()
    start = next(iter(study.space.starts), {})
    return SpaceTable(
        study=study.name, rows=tuple(_rows(study.space, start)), notes=study.space.notes
    )


def print_space(table: SpaceTable) -> None:
    """Print the table, and below it the notes."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    printed = Table("parameter", "domain", "when", "default", box=None, pad_edge=False)
    for row in table.rows:
        cells = (row.name, row.domain, row.condition or "always", row.default or "–")
        printed.add_row(*map(Text, cells))
    console = Console()
    console.print(printed)
    for note in table.notes:
        console.print(Text(note, style="yellow"))


def _rows(space: Space, start: Params) -> Iterator[Row]:
    for name, domain in space.domains.items():
        for each in domain.alternatives or (domain,):
            begins_here = name in start and each.exists_under(start)
            yield Row(
                name=name,
                domain=_words(each),
                condition=condition_words(each),
                default=str(start[name]) if begins_here else "",
            )


def _words(domain: Domain) -> str:
    if isinstance(domain, Choice):
        return ", ".join(domain.labels)
    words = f"{domain.low:.6g} … {domain.high:.6g}"
    if isinstance(domain, FromRangeTest):
        return f"{words}, from a range test"
    if domain.log:
        return f"{words}, log"
    has_steps = domain.step not in (None, 1)
    return f"{words}, steps of {domain.step:.6g}" if has_steps else words
