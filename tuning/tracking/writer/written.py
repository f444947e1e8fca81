"""`written.json`: a search is wholly in both stores; so its next command need not look again.

Left by a writer when it has written everything. It holds as long as the search's files are those
that were written, and each store has as many runs and trials of it. That is looked up in SQLite
files alone, in some milliseconds; of other stores nothing is said, and a writer looks.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

from tuning.ledger.records import SearchHeader, read_record, write_record
from tuning.ledger.search import SearchFiles
from tuning.ledger.stamps import search_stamp
from tuning.schema import SCHEMA, WRONG_SHAPE, Json, JsonObject
from tuning.storage.durable import read_json
from tuning.tracking import mlflow_sql_internals, optuna_internals
from tuning.tracking.mlflow_store import MLflowPlace, sqlite_path, tracking_uri
from tuning.tracking.optuna_storage import storage_url

_NAME = "written.json"


@dataclass(frozen=True, kw_only=True)
class WrittenMark:
    """What was written.

    Attributes:
        files: `stamp_of` the search.
        stores: A digest over the URIs of both stores.
        runs: Of the search in MLflow that have ended, itself and its finalists among them.
        trials: In Optuna's storage.
    """

    files: str
    stores: str
    runs: int
    trials: int

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "files": self.files,
            "stores": self.stores,
            "runs": self.runs,
            "trials": self.trials,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        return cls(
            files=stored["files"],
            stores=stored["stores"],
            runs=stored["runs"],
            trials=stored["trials"],
        )


def stamp_of(folder: Path, home: Path) -> str:
    """Return one word for all that is written of a search: its files, its status, its report."""
    header = SearchFiles(folder).require_header()
    return search_stamp(folder, folder / "status.json", home / "reports" / f"{header.id}.html")


def leave_mark(folder: Path, home: Path, files: str) -> None:
    """Say that everything is written.

    Args:
        folder: Of the search.
        home: The state folder.
        files: `stamp_of` the search, taken before what was written last was read.
    """
    # A store that is no SQLite file, or is being written, leaves the search without a mark.
    with suppress(sqlite3.Error, _NoFile):
        write_record(folder / _NAME, _mark(files, SearchFiles(folder).require_header(), home))


def is_written(folder: Path, home: Path) -> bool:
    """Whether both stores surely have all of a search, as far as counting can say."""
    mark = read_record(WrittenMark, folder / _NAME)
    header = SearchFiles(folder).header
    if mark is None or header is None or mark.files != stamp_of(folder, home):
        return False
    try:
        return mark == _mark(mark.files, header, home)
    except (sqlite3.Error, _NoFile):
        return False


def place_of(folder: Path) -> MLflowPlace | None:
    """Return where MLflow has a search, as its writer has left it; None where it has not."""
    stored = read_json(folder / "mlflow.json")
    try:
        return MLflowPlace(**stored) if isinstance(stored, dict) else None
    except WRONG_SHAPE:
        return None


class _NoFile(Exception):
    """A store is something else than a SQLite file."""


def _mark(files: str, header: SearchHeader, home: Path) -> WrittenMark:
    """Return the mark of a search, with what the stores have of it now."""
    uri = tracking_uri(home)
    url = storage_url(home)
    mlflow = sqlite_path(uri)
    optuna = sqlite_path(url)
    if mlflow is None or optuna is None:
        raise _NoFile
    return WrittenMark(
        files=files,
        stores=blake2b(f"{uri} {url}".encode(), digest_size=16).hexdigest(),
        runs=mlflow_sql_internals.ended_runs(mlflow, header.id),
        trials=optuna_internals.ended_trials(optuna, header.id),
    )
