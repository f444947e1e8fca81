"""Locks on files that the kernel frees at any death of their holder; that of a search names it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from tuning.errors import BusyError, StorageError
from tuning.storage.durable import open_file, read_json, write_json
from tuning.storage.processes import WRITER_NAME

if TYPE_CHECKING:
    import psutil

_SEARCH_TIMEOUT_S = 0.2  # `is_search_locked` may hold the lock for a moment
STOPPED_S = 5.0
"""A writer that stays stopped for so long while others wait for its lock is ended."""


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, made where it is missing (mode 0600).

    Raises:
        BusyError: Another process holds it, and `wait` is False.
    """
    lock = FileLock(path, timeout=STOPPED_S if wait else 0, mode=0o600)
    while True:
        try:
            lock.acquire()
            break
        except Timeout as error:
            if not wait:
                raise BusyError(f"another process holds {path}") from error
            end_stopped_writers(path)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def search_locked(folder: Path, holder: str) -> Iterator[None]:
    """Hold the lock of the search in `folder`.

    Args:
        folder: May be missing yet; the lock lies beside it.
        holder: Who holds it, for the error of the next one, e.g. "process 17 on host".

    Raises:
        BusyError: Another process holds it; names that one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(_lock_of(folder), timeout=_SEARCH_TIMEOUT_S, mode=0o600)
    # Not in the lock file, which some releases of `filelock` truncate at each attempt.
    note = folder.with_name(f".{folder.name}.holder")

    try:
        lock.acquire()
    except Timeout as error:
        stored = read_json(note)
        other = stored.get("holder") if isinstance(stored, dict) else None
        other = other or "another process"
        raise BusyError(
            f"this search is being run by {other}; wait for it, or run another engine or study"
        ) from error

    try:
        write_json(note, {"holder": holder})
        yield
    finally:
        lock.release()


def is_search_locked(folder: Path) -> bool:
    """Whether a process runs the search in `folder` right now."""
    return is_locked(_lock_of(folder))


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on the file `path` right now.

    Nothing is written, so any path may be asked about; `FileLock` would create the file.
    """
    # A shared lock, so that two who ask do not take each other for the holder.
    try:
        with open_file(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    return False


def end_stopped_writers(path: Path) -> list[int]:
    """End writers that are stopped (SIGSTOP) and have the lock file `path` open; return their pids.

    One whose driver is dead has nobody else to end it, and everybody would wait for it for ever.
    What it was writing is written from the files by whoever comes next.

    Args:
        path: Of a lock that was waited for.
    """
    import psutil  # 20 ms that TensorFlow's import would wait for

    ended = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_stopped = process.status() == psutil.STATUS_STOPPED
            if is_stopped and process.name() == WRITER_NAME and _has_open(process, path):
                process.kill()
                ended.append(process.pid)
    return ended


def _has_open(process: psutil.Process, path: Path) -> bool:
    # `open_files` leaves out what is no regular file, not locks.
    return str(path.resolve()) in {file.path for file in process.open_files()}


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")
