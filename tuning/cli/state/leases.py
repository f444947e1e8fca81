"""Leases of devices whose holders are gone, and places in line that nobody stands in."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tuning.cli.state.fault import FIX, Fault
from tuning.executors.devices.leases import default_folder
from tuning.storage.durable import open_file
from tuning.storage.processes import process_lives


def faults_of_leases(folder: Path | None = None) -> Iterator[Fault]:
    """Yield what is wrong in the folder of leases; it is the same for all state folders of a user.

    Args:
        folder: None: `TUNING_LEASES`, else the default one.
    """
    folder = folder or Path(os.environ.get("TUNING_LEASES") or default_folder())
    if not folder.is_dir():
        return
    for path in sorted(folder.glob("device-*")):
        yield from _faults_of_device(path)

    stale = [path for path in folder.glob("ticket-*") if not _is_locked(path)]
    if stale:
        yield Fault(
            name="leases",
            found=f"{len(stale)} places in the line for devices are of processes that are gone",
            advice=f"{FIX} removes them; so does the next search that waits",
            mend=lambda: _remove(stale),
        )


def _faults_of_device(path: Path) -> Iterator[Fault]:
    """A lease that is held although who took it is gone: by what that process has left behind."""
    owner = _owner(path)
    if owner is None or process_lives(owner) or not _is_locked(path):
        return
    holders = _holders(path)
    named = ", ".join(map(str, holders)) or "a process that cannot be looked into"
    advice = "it ends by itself within a minute; else end it"
    if holders:
        advice += f": kill {' '.join(map(str, holders))}"
    yield Fault(
        name="leases",
        found=f"{path.name} was taken by process {owner}, which is gone, and is held by {named}",
        advice=advice,
    )


def _owner(path: Path) -> int | None:
    try:
        with open_file(path) as file:
            return int(json.load(file)["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_locked(path: Path) -> bool:
    # A shared lock, which a second one who looks may have too.
    try:
        with open_file(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # gone by now
        return True
    return False


def _holders(path: Path) -> list[int]:
    """Return the processes that have a file open, as far as this user may look into them."""
    return sorted(
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if str(path) in _opened_by(process)
    )


def _opened_by(process: Path) -> set[str]:
    opened = set()
    with suppress(OSError):  # another user's, or gone
        for link in (process / "fd").iterdir():
            with suppress(OSError):  # closed by now
                opened.add(os.readlink(link))
    return opened


def _remove(tickets: list[Path]) -> str:
    removed = 0
    for path in tickets:
        if not _is_locked(path):
            path.unlink(missing_ok=True)
            removed += 1
    return f"{removed} places in the line for devices are removed"
