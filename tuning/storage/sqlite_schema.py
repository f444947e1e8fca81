"""Whether a library's tables in a SQLite file are as it made them; old ones brought up to date.

Both libraries keep the revision of their tables in `alembic_version`. A file whose revision they do
not know, or that lacks a table or column of its revision, fails at some later statement, for ever.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

MIGRATING = threading.Lock()
"""Held where a library makes or changes its tables.

alembic's context is the process' own: of two threads that migrate at once, one writes into the
other's file, and so does whoever comes after them.
"""


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What a library knows of its tables.

    Attributes:
        columns: Returns the columns of each table of the newest revision.
        revisions: Returns the revisions that it can bring up to date, the newest first.
        upgrade: Brings the file at a path to the newest revision.
    """

    columns: Callable[[], Mapping[str, Sequence[str]]]
    revisions: Callable[[], Sequence[str]]
    upgrade: Callable[[Path], None]


def fault(path: Path, schema: Schema) -> str:
    """Return what is wrong with a sound file's tables; "" where nothing is, or they are old."""
    with closing(sqlite3.connect(path, timeout=20)) as connection:
        revision = _revision(connection)
        revisions = schema.revisions()
        if revision not in revisions:
            return f"its tables are of the revision {revision!r}, which is not known here"
        if revision != revisions[0]:
            return ""

        for table, columns in schema.columns().items():
            # `xinfo` has generated columns, too.
            rows = connection.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))
            missing = sorted(set(columns) - {name for (name,) in rows})
            if len(missing) == len(columns):
                return f"it has no table {table!r}"
            if missing:
                return f"its table {table!r} has no column {missing[0]!r}"
    return ""


def is_old(path: Path, schema: Schema) -> bool:
    """Whether the tables of a file without a fault have to be brought up to date."""
    with closing(sqlite3.connect(path, timeout=20)) as connection:
        return _revision(connection) != schema.revisions()[0]


def upgrade(path: Path, schema: Schema) -> Path:
    """Bring a copy up to date, put it in the file's place, return where the old file is kept.

    Whoever reads the old file goes on; a kill at any moment leaves one of the two in its place.
    """
    copy = path.with_name(f".{path.name}.new")
    for left_over in path.parent.glob(f"{copy.name}*"):
        left_over.unlink()
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL, 0o600))
    with (
        closing(sqlite3.connect(path, timeout=20)) as old,
        closing(sqlite3.connect(copy)) as new,
    ):
        revision = _revision(old)
        old.backup(new)
    with MIGRATING:
        schema.upgrade(copy)
    with open(copy, "rb") as file:
        os.fsync(file.fileno())

    kept = path.with_name(f"{path.name}.before-upgrade-{revision}")
    if kept.exists():
        kept = path.with_name(f"{kept.name}-{time.time_ns()}")
    os.link(path, kept)
    os.replace(copy, path)
    return kept


def _revision(connection: sqlite3.Connection) -> str:
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:  # no such table
        return ""
    return "" if row is None else str(row[0])
