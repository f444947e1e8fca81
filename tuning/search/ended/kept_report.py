"""The report of a search is kept where it would come out the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tuning.ledger.records import read_record, write_record
from tuning.ledger.stamps import search_stamp, stamp
from tuning.schema import SCHEMA, Json, JsonObject

_NAME = "report.json"


@dataclass(frozen=True, kw_only=True)
class ReportMark:
    """A report that was written.

    Attributes:
        files: `search_stamp` of the files that it shows.
        path: Where it lies.
        stamp: Of the report, see `tuning.ledger.stamps`.
    """

    files: str
    path: str
    stamp: tuple[int, ...]

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "files": self.files,
            "path": self.path,
            "stamp": list(self.stamp),
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        return cls(files=stored["files"], path=stored["path"], stamp=tuple(stored["stamp"]))


def remember_report(folder: Path, report: Path) -> None:
    """Note that a report shows a search as it is now.

    Args:
        folder: Of the search.
        report: Where it lies.
    """
    mark = ReportMark(
        files=search_stamp(folder),
        path=str(report.resolve()),
        stamp=tuple(stamp(report) or ()),
    )
    write_record(folder / _NAME, mark)


def kept_report(folder: Path, reports: Path) -> Path | None:
    """Return the report of a search where it is there and would come out the same; else None.

    Args:
        folder: Of the search.
        reports: The folder in which reports lie.
    """
    mark = read_record(ReportMark, folder / _NAME)
    if mark is None:
        return None
    report = Path(mark.path)
    is_there = report.parent == reports.resolve() and list(mark.stamp) == stamp(report)
    return report if is_there and mark.files == search_stamp(folder) else None
