"""SQLite files that are whole or absent: made under a lock at a temporary name, then renamed (mode
0600).

MLflow and Optuna create their tables in many steps; neither survives a race of two processes or a
kill in between (https://github.com/mlflow/mlflow/issues/6490).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tuning.errors import BusyError

CHECKED_BYTES = 256 * 2**20
"""Up to this size a file is checked page by page whenever it is opened by `ensure`."""


def ensure(path: Path, create: Callable[[Path], None]) -> Path | None:
    """Make sure that `path` is a sound SQLite file; `create(temporary)` makes a new one where it is
    not.

    Returns:
        Where a damaged file was put aside (`<name>.corrupt`), else None.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(path.with_name(f".{path.name}.lock")):
        aside = set_aside(path) if path.exists() and damage(path) else None
        if not path.exists():
            _create(path, create)
    return aside


def damage(path: Path) -> str:
    """Return what SQLite finds wrong with a file, or "" where it is sound, or too large to look at
    every page.
    """
    check = "quick_check" if path.stat().st_size <= CHECKED_BYTES else "schema_version"
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
    return "" if check == "schema_version" or answer == "ok" else answer


def set_aside(path: Path) -> Path:
    """Rename a damaged file, and its journal, to `<name>.corrupt` or, where that is taken, with the
    time behind.
    """
    aside = path.with_name(f"{path.name}.corrupt")
    if aside.exists():
        aside = path.with_name(f"{path.name}.corrupt-{time.time_ns()}")
    path.rename(aside)
    for suffix in ("-journal", "-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    return aside


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel frees it at any death of the holder.

    Raises:
        BusyError: Another process holds it, and `wait` is False.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"another process holds {path}") from error
        yield
    finally:
        os.close(descriptor)


def _create(path: Path, create: Callable[[Path], None]) -> None:
    for left_over in path.parent.glob(f".{path.name}.new*"):
        left_over.unlink()
    temporary = path.with_name(f".{path.name}.new")
    os.close(
        os.open(temporary, os.O_CREAT | os.O_EXCL, 0o600)
    )  # before its library opens it with a wider mode
    create(temporary)
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
