"""`python -m tuning.tracking.writer <descriptor>`: the child.

Lines on standard input: first `b <search folder>`, then `n` for news, at last `f <seconds>`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import select
import signal
import sys
import time
from pathlib import Path

from tuning.storage.locks import locked
from tuning.tracking.mlflow_records import without_secrets
from tuning.tracking.mlflow_store import ensure_database, tracking_uri
from tuning.tracking.optuna_storage import ensure_storage, storage_url
from tuning.tracking.writer.handle import tell
from tuning.tracking.writer.project import Projection

_POLL_S = 2.0  # a look at the files without being asked
_RETRY_S = 0.3
_CHUNK_S = 0.5  # of writing, then the driver is told and asked
_LOG_BYTES = 2**20
_ORPHAN_S = 60.0  # to write what is on disk after the driver died
_NICENESS = 10
_IMPORTED = ("mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store", "optuna.storages")


class _Redacted(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def main(descriptor: int) -> int:
    """Write until told to finish or left alone; return the exit code."""
    os.umask(0o077)
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _log_without_secrets()
    home = Path(os.environ["TUNING_HOME"])
    aside = _warm_up(home)  # while TensorFlow is imported, which takes one core only
    line = _first_line()
    if line is None:
        return 0  # the run has ended before there was a search
    folder = Path(os.fsdecode(line.removeprefix(b"b ")))
    _log_to(folder / "writer.log")
    with locked(folder / ".writer.lock"):  # an orphan of an earlier run may still be writing
        projection = Projection(folder, home, tracking_uri(home), storage_url(home))
        projection.note(*aside)
        timeout_s = _serve(projection, descriptor)
        projection.drain(timeout_s)
        tell(descriptor, projection.report(final=True))
    return 0


def _warm_up(home: Path) -> list[Path | None]:
    """Import what the stores need and make their databases; return where damaged ones were put."""
    made: list[Path | None] = []
    with contextlib.suppress(
        Exception
    ):  # whatever it is: tried again when there is something to write, and told then
        for name in _IMPORTED:
            importlib.import_module(name)
        made.append(ensure_database(tracking_uri(home)))
        made.append(ensure_storage(storage_url(home)))
    return made


def _first_line() -> bytes | None:
    """Return the line that names the search, without reading ahead; None where the driver hung up
    before it.
    """
    line = b""
    while not line.endswith(b"\n"):
        got = os.read(0, 1)
        if not got:
            return None
        line += got
    return line[:-1]


def _log_to(path: Path) -> None:
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.unlink()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _serve(projection: Projection, descriptor: int) -> float:
    """Write trials as they come; return how long the end may take."""
    left = b""
    asked_at = time.monotonic()
    while True:
        projection.step(until=asked_at + _CHUNK_S)
        report = projection.report()
        tell(descriptor, report)
        ready, _, _ = select.select([0], [], [], _pause(projection, report.behind))
        asked_at = time.monotonic()
        if not ready:
            continue
        got = os.read(0, 65536)
        if not got:
            return _ORPHAN_S
        *lines, left = (left + got).split(b"\n")
        for line in lines:
            if line.startswith(b"f "):
                return max(float(line[2:]) - (time.monotonic() - asked_at), 0.0)


def _pause(projection: Projection, behind: int) -> float:
    """Return how long to wait for a notice: not at all while there is something to write and it can
    be written.
    """
    faults = any(feed.fault for feed in projection.feeds)
    return 0.0 if behind and not faults else _RETRY_S if faults else _POLL_S


def _log_without_secrets() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacted("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


if __name__ == "__main__":
    code = main(int(sys.argv[1]))
    # at its end Python would look through all that MLflow's import made: 0.7 s, and the driver
    # waits
    gc.freeze()
    raise SystemExit(code)
