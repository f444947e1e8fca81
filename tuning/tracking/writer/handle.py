"""The driver's side of the writer process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import tuning
from tuning.tracking.mlflow_store import QUIET

RECORD_BYTES = 8192
"""Size of the record in which the child tells how far it is; it is written whole, at the start of a
shared file.
"""
_GRACE_S = 3.0


@dataclass(frozen=True)
class Report:
    """How far the writer is.

    Attributes:
        written: Finished trials that are in every store.
        behind: Finished trials that are not.
        experiment_id, run_id: Of the search in MLflow; "" until it is there.
        warnings: What could not be written, and why.
    """

    written: int = 0
    behind: int = 0
    experiment_id: str = ""
    run_id: str = ""
    warnings: tuple[str, ...] = ()


@dataclass
class Writer:
    """A writer's process; `begin` gives it its search. Nothing here waits for a store, except
    `finish`.

    Made early, it imports MLflow while nobody needs the core.

    The child has its own session, so Ctrl-C in the terminal does not reach it. It ends by itself
    when the driver does, however that happens: its standard input closes, and it writes what the
    files hold.
    """

    environment: Mapping[str, str] = field(repr=False)  # may hold passwords
    folder: Path | None = None
    _channel: Any = field(default=None, repr=False)
    _child: Any = field(default=None, repr=False)
    _last: Report = field(default_factory=Report)

    @classmethod
    def start(cls, home: Path, tracking_uri: str = "", storage: str = "") -> Self:
        """Start the process.

        Args:
            home: The state folder.
            tracking_uri: MLflow's; "": `MLFLOW_TRACKING_URI`, else SQLite inside `home`.
            storage: Optuna's; "": `TUNING_STORAGE`, else SQLite inside `home`.
        """
        given = {"MLFLOW_TRACKING_URI": tracking_uri, "TUNING_STORAGE": storage}
        environment = {
            **os.environ,
            **QUIET,
            **{name: value for name, value in given.items() if value},
            "TUNING_HOME": str(home.resolve()),
            "PYTHONPATH": os.pathsep.join(
                [str(Path(tuning.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
            ),
        }
        writer = cls(environment)
        writer._spawn()
        return writer

    def begin(self, folder: Path) -> Self:
        """Write the search in `folder`, `<home>/ledger/<study>/<key>` with its `search.json`."""
        self.folder = folder.resolve()
        with contextlib.suppress(BrokenPipeError):  # seen by `finish`
            self._child.stdin.write(b"b " + os.fsencode(self.folder) + b"\n")
        return self

    @property
    def pid(self) -> int:
        """Of the child."""
        return int(self._child.pid)

    def notify(self) -> None:
        """Say that a trial has ended; one small write to a pipe that never blocks."""
        if self.folder is None:  # the child waits for the search
            return
        # A full pipe holds notices enough; a broken one is seen by `finish`.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._child.stdin.write(b"n\n")

    def progress(self) -> Report:
        """Return how far the writer is, as it last said."""
        if self._channel.closed:
            return self._last
        record = os.pread(self._channel.fileno(), RECORD_BYTES, 0).strip(b"\0 ")
        try:
            stored = json.loads(record) if record else {}
        except ValueError:  # read while it was being written
            return self._last
        self._last = Report(**{**stored, "warnings": tuple(stored.get("warnings", ()))})
        return self._last

    def finish(self, timeout_s: float = 30.0) -> list[str]:
        """Have everything written, wait for the child to end, return what could not be written.

        Write `status.json` before, so that MLflow shows how the search ended.
        """
        if self._child.poll() is not None and self.folder is not None:
            # it was killed, or MLflow brought it down: once more, for what is missing
            self._spawn()
            self.begin(self.folder)
        os.set_blocking(self._child.stdin.fileno(), True)
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(f"f {timeout_s}\n".encode())
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        try:
            self._child.wait(timeout_s + _GRACE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        report = self.progress()
        warnings = list(report.warnings)
        if self._child.returncode != 0 and not warnings:
            log = "" if self.folder is None else f" (see {self.folder / 'writer.log'})"
            warnings = [
                f"the writer did not end well{log}; nothing is lost, `tuning sync` writes the rest"
            ]
        self._channel.close()
        return warnings

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Left without `finish`: the child sees the end of its input and writes what is on disk,
        # nobody waits for it.
        if not self._child.stdin.closed:
            if self.folder is None:
                self._child.kill()
            self._child.stdin.close()
            self._channel.close()
            threading.Thread(
                target=self._child.wait, daemon=True
            ).start()  # so that it leaves no zombie

    def _spawn(self) -> None:
        if self._channel is None:
            self._channel = tempfile.TemporaryFile()  # noqa: SIM115 - closed by finish
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tuning.tracking.writer", str(self._channel.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=self.environment,
            start_new_session=True,
            pass_fds=[self._channel.fileno()],
        )
        os.set_blocking(self._child.stdin.fileno(), False)


def tell(descriptor: int, report: Report) -> None:
    """Write the child's record where the driver looks for it."""
    stored = {**vars(report), "warnings": [warning[:1200] for warning in report.warnings[:4]]}
    os.pwrite(descriptor, json.dumps(stored).encode()[:RECORD_BYTES].ljust(RECORD_BYTES), 0)


def wait_until_written(writer: Writer, trials: int, timeout_s: float) -> bool:
    """Wait until `trials` trials are in every store; for tests and scripts."""
    end = time.monotonic() + timeout_s
    while writer.progress().written < trials and time.monotonic() < end:
        time.sleep(0.05)
    return writer.progress().written >= trials
