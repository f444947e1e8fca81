"""What Linux does for a family of processes: death signals, names, orphans; nothing elsewhere."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.005  # between looks whether orphans have ended


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Get a signal when `parent`, the process that made this one, is gone.

    The kernel does it, so SIGKILL also ends a process that is stopped, or in C with the GIL held.
    """
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def go_on_without_parent() -> None:
    """Have the kernel let this process go on (SIGCONT) when its parent is gone.

    For one that outlives its parent and finishes its work: where it was stopped (SIGSTOP), nobody
    would be left to look after it, and what it has locked would stay locked.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


def name_process(name: str) -> None:
    """Have `ps`, and our tests, tell this process from the others.

    Args:
        name: At most 15 bytes.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of each descendant whose own parent has ended.

    Also of one that has left its group and session (`setsid`), which no signal to a group reaches.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_first_without_memory(score: int) -> None:
    """Have the kernel end this process, and what it starts, before others of its size.

    Args:
        score: Thousandths of all memory that count as used besides; never lowered.
    """
    path = Path("/proc/self/oom_score_adj")
    with suppress(OSError, ValueError):
        if int(path.read_text()) < score:
            path.write_text(str(score))


def children_of(parent: int) -> list[int]:
    """Return the processes that have `parent` for their parent, zombies among them."""
    children = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            # "<pid> (<name>) <state> <parent> …", where the name may hold anything.
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[1]) == parent:
                children.append(int(folder.name))
    return children


def end_orphans(known: Container[int], limit_s: float = 1.0) -> None:
    """Kill and reap the children of this process that it has not begun itself, and theirs.

    Whatever an orphan had started becomes ours when it ends, so this goes on until there is none.

    Args:
        known: Children that are let be.
        limit_s: How long the end of one that hangs in the kernel is waited for.
    """
    until = time.monotonic() + limit_s
    while True:
        orphans = [pid for pid in children_of(os.getpid()) if pid not in known]
        if not orphans or time.monotonic() >= until:
            return
        for pid in orphans:
            # Not reaped yet, it is surely the one that we mean.
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in orphans:
            while not _reaped(pid) and time.monotonic() < until:
                time.sleep(_LOOK_S)


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
