"""Capped logs: what a worker prints, C++ included, goes to a file that cannot fill the disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_HEADER = "--- job "


class CappedLog:
    """Sends descriptors 1 and 2 of this process to a file; at half the cap it becomes `<name>.1`
    and a new one begins.

    A file and not a pipe: the last words before a crash are kept, and nothing waits for a reader.

    Args:
        path: The file; appended to.
        cap_bytes: Most bytes of both files together, seen at each `rotate`.
    """

    def __init__(self, path: Path, cap_bytes: int = 10_000_000) -> None:
        self._path = path
        self._half = cap_bytes // 2
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._redirect()
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    def begin(self, job: str) -> None:
        """Mark where a job's lines begin."""
        os.write(1, f"{_HEADER}{job}\n".encode())

    def rotate(self) -> None:
        """Cut the log where it has grown too long; called every 0.1 s or so."""
        old = self._path.with_name(self._path.name + ".1")
        if os.fstat(1).st_size > self._half:
            os.replace(self._path, old)
            self._redirect()
        # a flood between two looks; looked at again, as a write under way may still end in the old
        # file
        if old.exists() and old.stat().st_size > self._half:
            os.truncate(old, self._half)

    def _redirect(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)


def last_lines(path: Path, count: int = 40) -> str:
    """Return the last lines a log holds of its latest job, `""` where there are none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(_HEADER)]
    return "\n".join(lines[starts[-1] + 1 if starts else 0 :][-count:])
