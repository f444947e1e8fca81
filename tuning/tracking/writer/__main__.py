"""`python -m tuning.tracking.writer <descriptor>`: the child; `handle` is the driver's side.

Lines on standard input: first `b <search folder>`, then `n` for each trial that has ended, at last
`f <seconds>` to finish. The end of the input: the driver is gone. Back goes a `Report`, into the
file of the descriptor.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tuning.storage.locks import locked
from tuning.tracking.mlflow_store import ensure_database, import_mlflow, tracking_uri
from tuning.tracking.mlflow_text import without_secrets
from tuning.tracking.optuna_storage import ensure_storage, import_optuna, storage_url
from tuning.tracking.writer.handle import write_report
from tuning.tracking.writer.project import Projection

_POLL_S = 2.0  # the files are read so often without a notice
_RETRY_S = 0.3
_CHUNK_S = 0.5  # of writing, between two reports
_LOG_BYTES = 2**20
_ORPHAN_S = 60.0  # to write what is on disk after the driver died
_NICENESS = 10


class _Redacted(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def main(descriptor: int) -> int:
    """Write until the driver says to finish, or is gone; return the exit code."""
    os.umask(0o077)
    os.nice(_NICENESS)
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

    # An orphan of an earlier run may still be writing.
    with locked(folder / ".writer.lock"):
        projection = Projection(folder, home, tracking_uri(home), storage_url(home))
        projection.report_damaged(*damaged)
        timeout_s = _serve(projection, descriptor)
        projection.drain(timeout_s)
        write_report(descriptor, projection.report(final=True))
    return 0


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


def _serve(projection: Projection, descriptor: int) -> float:
    """Write trials as they come; return how long the end may take."""
    unread = b""  # the beginning of a line whose end has still to come
    woken_at = time.monotonic()

    while True:
        projection.step(until=woken_at + _CHUNK_S)
        report = projection.report()
        write_report(descriptor, report)

        ready, _, _ = select.select([0], [], [], _pause_s(projection, report.behind))
        woken_at = time.monotonic()
        if not ready:
            continue
        data = os.read(0, 65536)
        if not data:
            return _ORPHAN_S

        *lines, unread = (unread + data).split(b"\n")
        for line in lines:
            if line.startswith(b"f "):
                timeout_s = float(line[2:])
                return max(timeout_s - (time.monotonic() - woken_at), 0.0)


def _pause_s(projection: Projection, behind: int) -> float:
    """Return how long to wait for a notice: not at all while something can be written."""
    if any(feed.fault for feed in projection.feeds):
        return _RETRY_S
    return 0.0 if behind else _POLL_S


def _log_without_secrets() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacted("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


if __name__ == "__main__":
    exit_code = main(int(sys.argv[1]))
    # At its end Python would look through all that MLflow's import made: 0.7 s, and the driver
    # waits.
    gc.freeze()
    raise SystemExit(exit_code)
