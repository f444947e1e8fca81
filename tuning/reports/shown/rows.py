"""The searches of a state folder, a line each; their trials are counted, not read."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table
from rich.text import Text

from tuning.errors import StorageError, StudyError
from tuning.ledger.catalog import name_of
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.ledger.view.search_view import NEVER_SAID
from tuning.ledger.winner import WinnerRecord
from tuning.reports.summary import Winner, plain_json
from tuning.reports.texts import count_text, figure, one_line, over_seeds
from tuning.storage.locks import is_search_locked
from tuning.study.objective import Objective


@dataclass(frozen=True, kw_only=True)
class SearchRow:
    """A search in short.

    Attributes:
        name: `study/key`.
        status: How its last run ended, or `running`; `damaged` where its header cannot be read.
        done: Trials that have ended.
        budget: Trials in all; None: no number was given.
        objective: What trials are judged by; None where the header is damaged.
        winner: On its fresh seeds; None: none was chosen.
        test: The winner's scores on the test set.
        at: When its last run ended or said that it runs, Unix seconds; 0: never.
    """

    name: str
    status: str
    done: int
    budget: int | None = None
    objective: Objective | None = None
    winner: Winner | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    at: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        winner = None if self.winner is None else self.winner.to_json()
        row: dict[str, Any] = plain_json(
            {
                "search": self.name,
                "status": self.status,
                "trials": {"done": self.done, "budget": self.budget},
                "metric": None if self.objective is None else self.objective.metric,
                "winner": winner,
                "test": dict(self.test),
                "at": self.at or None,
            }
        )
        return row


def row_of(files: SearchFiles) -> SearchRow:
    """Return what a search is in short; nothing of it keeps the others from being listed."""
    done = sum(1 for _ in files.folder.glob("trials/*/result.json"))
    try:
        header = files.require_header()
        return _row(files, header, done)
    except (StorageError, StudyError):
        return SearchRow(name=name_of(files), status="damaged", done=done)


def _row(files: SearchFiles, header: SearchHeader, done: int) -> SearchRow:
    last = files.status
    status = "begun" if last is None else last.status
    if is_search_locked(files.folder):
        status = "running"
    elif status == "running":
        status = NEVER_SAID
    winner = files.winner
    return SearchRow(
        name=name_of(files),
        status=status,
        done=done,
        budget=header.trials,
        objective=header.objective,
        winner=_winner(winner),
        test={} if winner is None else winner.evaluation.test,
        at=header.created_at if last is None else last.at,
    )


def _winner(record: WinnerRecord | None) -> Winner | None:
    return None if record is None else Winner.of(record.standing)


def table_of(rows: Sequence[SearchRow]) -> Table:
    """Return the searches as a table, in their order."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("search", overflow="fold")
    for heading in ("status", "trials", "winner", "test set", "when"):
        table.add_column(heading)
    for row in rows:
        cells = (row.status, _trials(row), _winner_text(row), _test(row), when(row.at))
        table.add_row(Text(one_line(row.name)), *(Text(cell) for cell in cells))
    return table


def when(at: float) -> str:
    """Write a moment as a reader's clock has it: `2026-12-01 05:20`; "–" where there is none."""
    if not at:
        return "–"
    return datetime.datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")


def trials_text(done: int, budget: int | None) -> str:
    """Write `4 of 8 trials`, `1 trial`."""
    if budget is None or done >= budget:
        return count_text(done, "trial")
    return f"{done:,} of {count_text(budget, 'trial')}"


def _trials(row: SearchRow) -> str:
    return str(row.done) if row.budget is None else f"{row.done}/{row.budget}"


def _winner_text(row: SearchRow) -> str:
    if row.winner is None or row.objective is None:
        return "–"
    metric = row.objective.metric
    mean = over_seeds(metric, row.winner.mean, row.winner.std, len(row.winner.seeds))
    return f"trial {row.winner.number}: {metric} {mean}"


def _test(row: SearchRow) -> str:
    """Write the score in the objective's metric, else the first one there is."""
    if not row.test or row.objective is None:
        return "–"
    wanted = row.objective.name
    metric = wanted if wanted in row.test else next(iter(row.test))
    return f"{metric} {figure(metric, row.test[metric])}"


def rows_of(searches: Iterable[SearchFiles]) -> list[SearchRow]:
    """Return a row for each search."""
    return [row_of(files) for files in searches]
