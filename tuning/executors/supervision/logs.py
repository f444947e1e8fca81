"""What processes print, C++ included: capped logs of workers, and greetings kept back."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tuning.storage.durable import open_file
from tuning.storage.secrets import print_without_secrets

_HEADER = "--- job "
_TAIL_BYTES = 8192  # what the last lines are looked for in


class CappedLog:
    """Sends descriptors 1 and 2 of this process to a file.

    At half the cap the file becomes `<name>.1` and a new one begins. A file and not a pipe: the
    last words before a crash are kept, and nothing waits for a reader.

    Args:
        path: The file; appended to.
        cap_bytes: Most bytes of both files together, checked at each `rotate`.
    """

    def __init__(self, path: Path, cap_bytes: int = 10_000_000) -> None:
        self._path = path
        self._half = cap_bytes // 2
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._redirect()
        print_without_secrets()

    def begin(self, job: str) -> None:
        """Mark where a job's lines begin."""
        os.write(1, f"{_HEADER}{job}\n".encode())

    def rotate(self) -> None:
        """Cut the log where it has grown too long; called every 0.1 s or so."""
        old = self._path.with_name(self._path.name + ".1")
        if os.fstat(1).st_size > self._half:
            os.replace(self._path, old)
            self._redirect()

        # A flood may pass the half between two looks. Asked of the old file each time, as a write
        # that was under way may still end there.
        if old.exists() and old.stat().st_size > self._half:
            os.truncate(old, self._half)

    def _redirect(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)


def cap(path: Path, cap_bytes: int) -> None:
    """Cut a log that is not ours from without: its writer may be in C and never come to rotate."""
    for each in (path, path.with_name(path.name + ".1")):
        with contextlib.suppress(FileNotFoundError):
            # It is appended to, so what comes next is written at the new end.
            if each.stat().st_size > cap_bytes:
                os.truncate(each, cap_bytes // 2)


@contextlib.contextmanager
def errors_of_libraries_unseen() -> Iterator[None]:
    """Send descriptor 2 nowhere for a while: TensorFlow greets there, whatever its log level.

    What goes wrong is raised; what is printed on descriptor 1 is seen.
    """
    sys.stderr.flush()
    shown = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(shown, 2)
        os.close(shown)


def last_lines(path: Path, count: int = 40) -> str:
    """Return the last lines a log holds of its latest job, `""` where there are none."""
    try:
        with open_file(path) as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""

    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(_HEADER):
            lines = []
        else:
            lines.append(line)
    return "\n".join(lines[-count:])
