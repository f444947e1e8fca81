"""`TUNING_HOME`: the one folder that holds all state, and the lock of each search in it."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tuning.errors import BusyError, StorageError
from tuning.storage.durable import read_json, write_json


def tuning_home(given: str | None = None) -> Path:
    """Return the state folder, made with mode 0700 where it is missing.

    Args:
        given: Wins over the variable TUNING_HOME, which wins over `./mlruns`.

    Raises:
        StorageError: It is writable for others; says which command mends it. Or no database can lie
            at this path.
    """
    home = Path(given or os.environ.get("TUNING_HOME") or "mlruns").absolute()
    if odd := sorted({"%", "?"} & set(str(home))):
        raise StorageError(
            f"{home}: neither MLflow nor Optuna takes a path with {' or '.join(odd)} in it; set TUNING_HOME"
        )
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(f"cannot make the state folder {home}: {error.strerror}") from error
    if home.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StorageError(
            f"{home} is writable for others, who could change results: chmod 700 {home}"
        )
    return home


def is_locked(folder: Path) -> bool:
    """Whether a process runs the search in `folder` right now; nothing is written, so any folder
    may be asked about.
    """
    try:
        with _lock_of(folder).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


@contextmanager
def locked(folder: Path, holder: str) -> Iterator[None]:
    """Hold the lock of the search in `folder`; the kernel frees it at any death of the holder.

    Raises:
        BusyError: Another process holds it; names that one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(_lock_of(folder), timeout=0.2, mode=0o600)  # `is_locked` holds it for a moment
    note = folder.with_name(f".{folder.name}.holder")
    try:
        lock.acquire()
    except Timeout as error:
        by = (read_json(note) or {}).get("holder", "another process")
        raise BusyError(
            f"this search is being run by {by}; wait for it, or run another engine or study"
        ) from error
    try:
        write_json(note, {"holder": holder})
        yield
    finally:
        lock.release()
