"""SQLite files that are whole or absent: made under a lock, at a temporary name, then renamed.

MLflow and Optuna create their tables in many steps; neither survives a race of two processes or a
kill in between (https://github.com/mlflow/mlflow/issues/6490).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from tuning.storage import sqlite_schema
from tuning.storage.locks import locked
from tuning.storage.sqlite_schema import Schema

CHECKED_BYTES = 256 * 2**20
"""Up to this size a file is checked page by page whenever it is opened by `ensure`."""


def ensure(path: Path, create: Callable[[Path], None], schema: Schema | None = None) -> Path | None:
    """Make sure that `path` is a sound SQLite file (mode 0600).

    Args:
        path: Where it lies; its folder is made where it is missing.
        create: Makes a new database at the path it gets, where there is none or a damaged one.
        schema: What the tables must be like: older ones are brought up to date, foreign ones and
            those with something missing count as damaged.

    Returns:
        Where a damaged file was put aside (`<name>.corrupt`), else None.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(path.with_name(f".{path.name}.lock")):
        aside = None
        if path.exists() and (damage(path) or not _fits(path, schema)):
            aside = set_aside(path)
        if not path.exists():
            _create(path, create)
        return aside


def _fits(path: Path, schema: Schema | None) -> bool:
    """Whether a sound file has the tables it must have, if need be brought up to date."""
    if schema is None:
        return True
    try:
        if sqlite_schema.fault(path, schema):
            return False
        if sqlite_schema.is_old(path, schema):
            sqlite_schema.upgrade(path, schema)
    except sqlite3.OperationalError:  # somebody is writing: they would know
        return True
    return True


def damage(path: Path) -> str:
    """Return what SQLite finds wrong with a file, or "" where it is sound.

    Above `CHECKED_BYTES` it is not looked at page by page.
    """
    # A cheap pragma still reads the header, which a file of something else lacks.
    every_page = path.stat().st_size <= CHECKED_BYTES
    check = "quick_check" if every_page else "schema_version"
    try:
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            answer = str(connection.execute(f"PRAGMA {check}").fetchone()[0])
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.OperationalError:
        return ""  # somebody is writing: they would know
    except sqlite3.DatabaseError as error:
        return str(error)

    if not tables:
        return "it has no tables"
    if every_page and answer != "ok":
        return answer
    return ""


def count(path: Path, query: str, *values: str) -> int:
    """Return the number that a query gives; nothing is written, or made.

    Raises:
        sqlite3.Error: There is no such file, it is damaged, or somebody is writing.
    """
    place = f"file:{quote(str(path))}?mode=ro"
    with closing(sqlite3.connect(place, uri=True, timeout=1.0)) as connection:
        (number,) = connection.execute(query, values).fetchone()
    return int(number)


def set_aside(path: Path) -> Path:
    """Rename a damaged file, and its journal, to `<name>.corrupt`.

    Where that name is taken, the time is put behind it.
    """
    aside = path.with_name(f"{path.name}.corrupt")
    if aside.exists():
        aside = path.with_name(f"{path.name}.corrupt-{time.time_ns()}")
    path.rename(aside)
    # SQLite would play a journal that stays behind into the new database.
    for suffix in ("-journal", "-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    return aside


def _create(path: Path, create: Callable[[Path], None]) -> None:
    for left_over in path.parent.glob(f".{path.name}.new*"):
        left_over.unlink()
    temporary = path.with_name(f".{path.name}.new")
    # Made here, before a library opens it with a wider mode.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o600))
    with sqlite_schema.MIGRATING:
        create(temporary)

    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
