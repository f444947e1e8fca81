"""`python -m tuning.writer <search folder> <descriptor>`: the child. Lines on standard input: `n`, `f <seconds>`."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time
from pathlib import Path

from tuning import sqlitefile
from tuning.ledger.optuna_rdb import storage_url
from tuning.tracking.mlflow_records import without_secrets
from tuning.tracking.mlflow_store import tracking_uri
from tuning.writer.handle import tell
from tuning.writer.project import Projection

_POLL_S = 2.0  # a look at the files without being asked
_RETRY_S = 0.3
_CHUNK_S = 0.5  # of writing, then the driver is told and asked
_ORPHAN_S = 60.0  # to write what is on disk after the driver died
_NICENESS = 10


class _Redacted(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def main(folder: Path, descriptor: int) -> int:
    """Write until told to finish or left alone; return the exit code."""
    os.umask(0o077)
    os.nice(_NICENESS)  # the first seconds, importing MLflow, fall into TensorFlow's import
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _log_without_secrets()
    home = Path(os.environ["TUNING_HOME"])
    with sqlitefile.locked(folder / ".writer.lock"):  # an orphan of an earlier run may still be writing
        projection = Projection(folder, home, tracking_uri(home), storage_url(home))
        timeout_s = _serve(projection, descriptor)
        projection.drain(timeout_s)
        tell(descriptor, projection.report(final=True))
    return 0


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
    """Return how long to wait for a notice: not at all while there is something to write and it can be written."""
    faults = any(feed.fault for feed in projection.feeds)
    return 0.0 if behind and not faults else _RETRY_S if faults else _POLL_S


def _log_without_secrets() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacted("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), int(sys.argv[2])))
