"""Space for the state folder: a floor, a quota, and what the trials to come will need."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tuning.errors import StorageError

_MOST_FLOOR = 64 << 20
_LOOK_S = 1.0
_SCAN_S = 30.0
_SCAN_SHARE = 20
"""A look through the folder that takes a second is done every 20 s at most."""
_FEWEST_TRIALS = 3
"""So many have to have ended before what a trial needs is known."""


class SpaceWatch:
    """Says in time that space runs out, so that nothing is torn and the same command goes on.

    Args:
        home: The state folder; it need not be there yet.
        quota: Most bytes of the state folder; None: what the disk holds.
    """

    def __init__(self, home: Path, quota: int | None = None) -> None:
        self._home = home
        self._quota = quota
        self._look_at = 0.0
        self._scan_at = 0.0
        self._used = 0

    def check(self) -> None:
        """Look whether there is space to go on; asked often, looks once a second.

        Raises:
            StorageError: There is not.
        """
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S

        free, floor = _free_and_floor(self._home)
        if free < floor:
            raise StorageError(
                f"{_size(free)} are left on the disk of {self._home}, and a search stops below "
                f"{_size(floor)}. Free some space, then run again."
            )
        if self._quota is None:
            return
        if now >= self._scan_at:
            self._used = used_bytes(self._home)
            took_s = time.monotonic() - now
            self._scan_at = now + max(_SCAN_S, _SCAN_SHARE * took_s)
        if self._used > self._quota:
            raise StorageError(
                f"{self._home} holds {_size(self._used)}, more than the --quota of "
                f"{_size(self._quota)}. Remove a search that is not needed from its ledger/ and "
                "artifacts/, or raise the quota; then run again."
            )

    def left(self) -> int:
        """Return the bytes that may still be written."""
        free, floor = _free_and_floor(self._home)
        left = free - floor
        if self._quota is not None:
            left = min(left, self._quota - used_bytes(self._home))
        return max(0, left)


class SpaceEstimate:
    """Tells once, in one line, that the trials to come may need more space than there is.

    Args:
        watch: Knows what is left.
        trials: The folder in which each trial has one.
        notice: Told it.
    """

    def __init__(self, watch: SpaceWatch, trials: Path, notice: Callable[[str], None]) -> None:
        self._watch = watch
        self._trials = trials
        self._notice = notice
        self._next_at = _FEWEST_TRIALS

    def look(self, n_ended: int, n_to_come: int | None) -> None:
        """Estimate after 3, 6, 12 … trials.

        Args:
            n_ended: Trials that lie in the folder.
            n_to_come: How many more there will be; None: that is not known.
        """
        if n_to_come is None or n_ended < self._next_at:
            return
        self._next_at = 2 * n_ended
        each = used_bytes(self._trials) / n_ended
        left = self._watch.left()
        if each * n_to_come > left:
            self._next_at = 1 << 62  # once is enough
            self._notice(
                f"{n_to_come} trials to come need about {_size(each * n_to_come)} "
                f"({_size(each)} each, mostly checkpoints), {_size(left)} are left; when it ends "
                "the search stops and can be gone on with"
            )


def used_bytes(folder: Path) -> int:
    """Return what a folder's files take on the disk."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it has gone meanwhile
                total += os.lstat(os.path.join(base, name)).st_blocks * 512
    return total


def _free_and_floor(folder: Path) -> tuple[int, int]:
    """Return what is free for us on a folder's disk, and below what a search stops."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize, min(_MOST_FLOOR, space.f_blocks * space.f_frsize // 100)


def _size(n_bytes: float) -> str:
    """Return a size for people."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.1f} GB"
