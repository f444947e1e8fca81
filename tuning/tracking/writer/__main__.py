"""`python -m tuning.tracking.writer <descriptor>`: the child; `handle` is the driver's side.

Lines on standard input: first `b <search folder>`, then `n` for each trial that has ended, at last
`f <seconds>` to finish. The end of the input: the driver is gone. Back goes a `Report`, into the
file of the descriptor.

What is not written by the end it goes on to write in the background, for an hour at most, and says
how far it is in the search's `writer.json`. It ends where another writer of the search begins.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tuning.executors.supervision.linux import go_on_without_parent, name_process
from tuning.executors.supervision.parts import WRITER
from tuning.storage.secrets import print_without_secrets
from tuning.tracking.mlflow_store import ensure_database, import_mlflow, tracking_uri
from tuning.tracking.mlflow_text import without_secrets
from tuning.tracking.optuna_storage import ensure_storage, import_optuna, storage_url
from tuning.tracking.writer.handle import Report, write_report
from tuning.tracking.writer.note import is_wanted, leave_note, remove_note, writing
from tuning.tracking.writer.project import Projection
from tuning.tracking.writer.written import leave_mark, stamp_of

_POLL_S = 2.0  # the files are read so often without a notice
_GATHER_S = 0.25  # trials that end within it are read together
_REPORT_S = 0.2  # between two reports while something is to be written
_LOG_BYTES = 2**20
_BACKGROUND_S = 3600.0  # of writing after the driver's end
_NOTE_S = 2.0
_NICENESS = 10


class _Redacted(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def main(descriptor: int) -> int:
    """Write until the driver says to finish, or is gone; return the exit code."""
    # Before anything else: a writer that is stopped must not outlive its driver in that state.
    go_on_without_parent()
    os.umask(0o077)
    os.nice(_NICENESS)
    name_process(WRITER.name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _log_without_secrets()

    home = Path(os.environ["TUNING_HOME"])
    # While TensorFlow is imported, which takes one core only.
    damaged = _warm_up(home)

    line = _first_line()
    if line is None:
        return 0  # the run has ended before there was a search
    folder = Path(os.fsdecode(line.removeprefix(b"b ")))
    _log_to(folder / "writer.log")

    # That of an earlier run may still be writing in the background.
    with writing(folder, while_waiting=lambda: write_report(descriptor, Report(at=time.time()))):
        projection = Projection(folder, home, tracking_uri(home), storage_url(home))
        projection.report_damaged(*damaged)
        projection.start()
        timeout_s = _serve(projection, descriptor)
        files = stamp_of(folder, home)
        if timeout_s is not None:
            projection.drain(timeout_s)
        if not projection.ended:
            _go_on(projection, folder, descriptor)
        if projection.ended:
            remove_note(folder)
            if not projection.report(final=True).warnings:
                leave_mark(folder, home, files)
        write_report(descriptor, projection.report(final=True))
    return 0


def _go_on(projection: Projection, folder: Path, descriptor: int) -> None:
    """Write in the background what is missing; the driver is told, and waits no longer."""
    until = time.monotonic() + _BACKGROUND_S
    leave_note(folder, projection.note())
    write_report(descriptor, projection.report(final=True, pid=os.getpid()))
    while not projection.ended and time.monotonic() < until and not is_wanted(folder):
        projection.drain(_NOTE_S)
        leave_note(folder, projection.note())
    projection.stop()


def _warm_up(home: Path) -> Sequence[Path | None]:
    """Import what the stores need and make their databases; return where damaged ones were put."""
    damaged: list[Path | None] = []
    # Whatever goes wrong is tried again when there is something to write, and reported then.
    with contextlib.suppress(Exception):
        import_mlflow()
        import_optuna()
        damaged.append(ensure_database(tracking_uri(home)))
        damaged.append(ensure_storage(storage_url(home)))
    return damaged


def _first_line() -> bytes | None:
    """Return the line that names the search, without reading ahead.

    None where the driver hung up before it.
    """
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return None
        line += byte
    return line[:-1]


def _log_to(path: Path) -> None:
    """Send descriptors 1 and 2 to a file; one that has grown too long begins anew."""
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.unlink()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    print_without_secrets()


def _serve(projection: Projection, descriptor: int) -> float | None:
    """Read trials as they come; return how long the end may take, None: the driver is gone."""
    unread = b""  # the beginning of a line whose end has still to come
    while True:
        n_seen = projection.poll()
        report = projection.report()
        write_report(descriptor, report)

        pause_s = _REPORT_S if report.behind else _POLL_S
        ready, _, _ = select.select([0], [], [], 0.0 if n_seen else pause_s)
        if not ready:
            continue
        data = os.read(0, 65536)
        if not data:
            return None

        *lines, unread = (unread + data).split(b"\n")
        for line in lines:
            if line.startswith(b"f "):
                return float(line[2:])
        # A look at the files costs as much for one trial as for ten.
        time.sleep(_GATHER_S)


def _log_without_secrets() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacted("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


if __name__ == "__main__":
    exit_code = main(int(sys.argv[1]))
    # At its end Python would look through all that MLflow's import made, 0.7 s that the driver
    # waits for, and would wait for a store that hangs.
    logging.shutdown()
    os._exit(exit_code)
