"""Whose a process is, and what it runs, as far as the kernel tells this user."""

from __future__ import annotations

import os
from pathlib import Path

_MOST = 60  # characters of a command


def user_of(pid: int) -> str:
    """Return the name of a process' user, its number where it has none, "?" where it is hidden."""
    import pwd

    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return "?"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # of a container
        return str(uid)


def command_of(pid: int) -> str:
    """Return the program that a process runs, without its arguments: they may hold secrets."""
    try:
        command = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
    return printable(command)


def ancestors(pid: int) -> set[int]:
    """Return a process and those above it, as far up as can be seen."""
    line: set[int] = set()
    while pid > 0 and pid not in line:
        line.add(pid)
        pid = _parent_of(pid)
    return line


def printable(text: str) -> str:
    """Return what another user has written so that it does no harm on a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:_MOST])


def _parent_of(pid: int) -> int:
    if pid == os.getpid():
        return os.getppid()
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        # After the name, which may hold anything: the state, then the parent.
        return int(status.rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
