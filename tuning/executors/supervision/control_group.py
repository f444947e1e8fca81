"""A control group for each child of the forkserver: whatever it starts ends with it, at one word.

What is killed one by one may be forked anew as quickly. The kernel ends all processes of a group at
once where there is `cgroup.kill` (Linux 5.14, groups of version 2) and we may make groups below our
own: as root, in most containers, and where systemd has handed ours over (`Delegate=`, all units of
a user). Elsewhere there are no groups, and orphans are killed one by one (`linux.end_orphans`),
which reaps them in any case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tuning.storage.processes import process_lives

_MOUNTS = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
"""Version 2 alone, or beside version 1."""
_PREFIX = "tuning-"


@dataclass(frozen=True)
class ControlGroup:
    """A group of one child and all that comes of it."""

    path: Path

    @classmethod
    def make(cls, number: int, root: Path = Path("/")) -> ControlGroup | None:
        """Make an empty group of this process; None where that cannot be done.

        Args:
            number: No other group of this process has had it.
            root: Of the file system; another one in tests.
        """
        home = own_group(root)
        if home is None:
            return None
        path = home / f"{_PREFIX}{os.getpid()}-{number}"
        try:
            path.mkdir()
        except OSError:  # not ours to divide
            return None
        if not (path / "cgroup.kill").exists():
            _remove(path)
            return None
        return cls(path)

    def enter(self) -> None:
        """Put this process into it; what it forks from now on is in it, too."""
        with suppress(OSError):  # somebody has removed it, or limits the moves: done without
            (self.path / "cgroup.procs").write_text("0")

    def kill(self) -> None:
        """End all that is in it."""
        with suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")

    def remove(self) -> bool:
        """Remove it once it is empty; return whether it is gone."""
        return _remove(self.path)


def groups_of(owner: int, root: Path = Path("/")) -> list[ControlGroup]:
    """Return the groups that a process has made and left, with whatever is in them."""
    home = own_group(root)
    if home is None:
        return []
    return [ControlGroup(path) for path in home.glob(f"{_PREFIX}{owner}-*")]


def remove_left_groups(root: Path = Path("/")) -> None:
    """Remove the empty groups of processes that are gone, their wardens too.

    Empty ones alone: seen from another container, a process that lives may seem to be gone.
    """
    home = own_group(root)
    if home is None:
        return
    for path, owner in _groups_in(home):
        if not process_lives(owner):
            _remove(path)


def own_group(root: Path = Path("/")) -> Path | None:
    """Return the folder of this process' group of version 2; None where there is none."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            if not line.startswith("0::"):
                continue
            for mount in _MOUNTS:
                folder = root / mount / line.removeprefix("0::").lstrip("/")
                if (folder / "cgroup.procs").exists() and (folder / "cgroup.controllers").exists():
                    return folder
    return None


def _groups_in(home: Path) -> Iterator[tuple[Path, int]]:
    for path in home.glob(f"{_PREFIX}*-*"):
        owner = path.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit():
            yield path, int(owner)


def _remove(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        pass
    except OSError:  # something in it lives, or is just ending
        return False
    return True
