"""The driver's side of the writer process; the child is `__main__`, which tells the protocol."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from tuning.executors.wire import wait_fd
from tuning.schema import WRONG_SHAPE, Json, JsonObject
from tuning.storage.interpreter import module_command
from tuning.storage.locks import STOPPED_S
from tuning.tracking.mlflow_store import QUIET

RECORD_BYTES = 8192
"""Size of the record in which the child writes how far it is.

It is written whole, at the start of a file that both processes have open, and cut there.
"""
_MOST_WARNINGS = 4  # each of at most _WARNING_LENGTH characters: so they fit into the record
_WARNING_LENGTH = 1200
_GRACE_S = 3.0
_START_S = 60.0  # for a child's imports, before the time that it is given begins
_LOOK_S = 0.02
_LOOK_AGAIN_S = 0.1
_HURRY_S = 3.0
_KILLED_S = 0.5  # until the end of a child that was killed is known
_RESTARTS = 6
_FIRST_PAUSE_S = 1.0  # between the second restart and the third; twice as long each time


@dataclass(frozen=True, kw_only=True)
class Report:
    """How far the writer is.

    Attributes:
        written: Finished trials that are in every store.
        behind: Finished trials that are not.
        experiment_id, run_id: Of the search in MLflow; "" until it is there.
        warnings: What could not be written, and why.
        final: Nobody needs to wait any longer: the writer has ended, or goes on in the background.
        at: When this was so, Unix seconds; 0: the child has said nothing yet.
    """

    written: int = 0
    behind: int = 0
    experiment_id: str = ""
    run_id: str = ""
    warnings: tuple[str, ...] = ()
    final: bool = False
    at: float = 0.0

    def to_json(self) -> JsonObject:
        """Return plain JSON types, short enough for the record."""
        warnings = [warning[:_WARNING_LENGTH] for warning in self.warnings[:_MOST_WARNINGS]]
        return {**asdict(self), "warnings": warnings}

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        return cls(
            written=stored["written"],
            behind=stored["behind"],
            experiment_id=stored["experiment_id"],
            run_id=stored["run_id"],
            warnings=tuple(stored["warnings"]),
            final=stored["final"],
            at=stored["at"],
        )


class Writer:
    """A writer's process; `begin` gives it its search.

    Nothing here waits for a store, except `finish`. Made early, it imports MLflow while nobody
    needs the core.

    The child has its own session, so Ctrl-C in the terminal does not reach it. Where the driver
    ends, however that happens, its standard input closes: it writes what the files hold, then ends.
    A child that dies, or is stopped, is started again at the next notice.

    Args:
        environment: The child's; may hold passwords.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.folder: Path | None = None
        self._environment = environment
        self._channel: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by finish
        self._last = Report()
        self._restarts = 0
        self._restart_at = 0.0  # not before this, on the monotonic clock
        self._look_at = 0.0  # whether the child is stopped, not before this
        self._stopped_since: float | None = None  # when the child was first seen to be
        self._child, self._input = self._spawn()

    @classmethod
    def start(cls, home: Path, tracking_uri: str = "", storage: str = "") -> Self:
        """Start the process.

        Args:
            home: The state folder.
            tracking_uri: MLflow's; "": `MLFLOW_TRACKING_URI`, else SQLite inside `home`.
            storage: Optuna's; "": `TUNING_STORAGE`, else SQLite inside `home`.
        """
        environment = {
            **os.environ,
            **QUIET,
            "TUNING_HOME": str(home.resolve()),
        }
        if tracking_uri:
            environment["MLFLOW_TRACKING_URI"] = tracking_uri
        if storage:
            environment["TUNING_STORAGE"] = storage

        return cls(environment)

    def begin(self, folder: Path) -> Self:
        """Write the search in `folder`, `<home>/ledger/<study>/<key>` with its `search.json`."""
        self.folder = folder.resolve()
        with contextlib.suppress(BrokenPipeError):  # seen by `finish`
            self._input.write(b"b " + os.fsencode(self.folder) + b"\n")
        return self

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.pid

    def notify(self) -> None:
        """Say that a trial has ended; one small write to a pipe that never blocks."""
        if self.folder is None:  # the child waits for the search
            return
        self._revive()
        # A full pipe holds notices enough; a broken one is seen by `finish`.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._input.write(b"n\n")

    def progress(self) -> Report:
        """Return how far the writer is, as it last said."""
        if self._channel.closed:
            return self._last
        record = os.pread(self._channel.fileno(), RECORD_BYTES, 0).strip(b"\0 ")
        if record:
            with contextlib.suppress(*WRONG_SHAPE):  # read while it was being written
                self._last = Report.from_json(json.loads(record))
        return self._last

    def finish(
        self, timeout_s: float = 30.0, *, hurried: Callable[[], bool] = lambda: False
    ) -> list[str]:
        """Have everything written; return what could not be written.

        Returns when all is there, or after `timeout_s`, which begins when the child has imported
        its libraries: then the child goes on in the background. Once `hurried` is true it is left
        to that after a few seconds.

        Write `status.json` before, so that MLflow shows how the search ended.
        """
        answered = self._finish(timeout_s, hurried)
        if self._child.returncode == -signal.SIGKILL:  # it was stopped: another takes over
            answered = self._finish(timeout_s, hurried)
        warnings = list(self.progress().warnings)
        if not answered:
            self._child.kill()
        elif self._child.poll() is None:
            # So that it leaves no zombie: it writes on.
            threading.Thread(target=self._child.wait, daemon=True).start()
        if not answered or self._child.returncode not in (None, 0):
            log = "" if self.folder is None else f" (see {self.folder / 'writer.log'})"
            warnings.append(
                f"the writer did not end well{log}; nothing is lost, `tuning sync` writes the rest"
            )
        self._channel.close()
        return warnings

    def _finish(self, timeout_s: float, hurried: Callable[[], bool]) -> bool:
        """Tell the child to finish; return whether it did in time."""
        self._revive(at_once=True)
        # One that is stopped reads nothing; with no notice it finishes at the end of its input.
        if wait_fd(self._input.fileno(), _GRACE_S, select.POLLOUT):
            with contextlib.suppress(BrokenPipeError, BlockingIOError):
                self._input.write(f"f {timeout_s}\n".encode())
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        return self._wait_for_end(timeout_s + _GRACE_S, hurried)

    def _wait_for_end(self, timeout_s: float, hurried: Callable[[], bool]) -> bool:
        """Wait for the child's last report, or its end; return whether there was one in time.

        In a hurry a child that is at work is not waited for, and not ended.
        """
        start_until = time.monotonic() + _START_S
        until: float | None = None
        leave_at: float | None = None
        while self._child.poll() is None:
            report = self.progress()
            if report.final and report.warnings:
                return True  # it goes on in the background; else it ends now
            if hurried():
                leave_at = leave_at or time.monotonic() + _HURRY_S
                if time.monotonic() >= leave_at and not _is_stopped(self._child.pid):
                    return True
            if until is None and (report.at or self.folder is None):
                until = time.monotonic() + timeout_s
            if time.monotonic() > (until or start_until):
                return False
            self._end_if_stopped()
            time.sleep(_LOOK_S)
        return True

    def _revive(self, *, at_once: bool = False) -> None:
        """Start the child again where it has died: it was killed, or MLflow brought it down."""
        self._end_if_stopped()
        if self.folder is None or self._child.poll() is None:
            return
        if not at_once:
            if self._restarts == _RESTARTS or time.monotonic() < self._restart_at:
                return
            self._restart_at = time.monotonic() + _FIRST_PAUSE_S * (2**self._restarts - 1)
            self._restarts += 1
        self._input.close()
        os.ftruncate(self._channel.fileno(), 0)
        self._child, self._input = self._spawn()
        self.begin(self.folder)

    def _end_if_stopped(self) -> None:
        """End a child that stays stopped (SIGSTOP): another takes its place."""
        now = time.monotonic()
        if now < self._look_at:  # 0.1 ms each time: notices come by the thousand
            return
        self._look_at = now + _LOOK_AGAIN_S
        if not _is_stopped(self._child.pid):
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = now
        elif now - self._stopped_since >= STOPPED_S:
            self._child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_KILLED_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Left without `finish`: the child sees the end of its input and writes what is on disk,
        # nobody waits for it.
        if self._input.closed:
            return
        if self.folder is None:
            self._child.kill()
        self._input.close()
        self._channel.close()
        # So that it leaves no zombie.
        threading.Thread(target=self._child.wait, daemon=True).start()

    def _spawn(self) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        """Start the child; return it and its standard input, which never blocks."""
        child = subprocess.Popen(
            module_command("tuning.tracking.writer", str(self._channel.fileno())),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=self._environment,
            start_new_session=True,
            pass_fds=[self._channel.fileno()],
        )

        if child.stdin is None:
            raise RuntimeError("a process without its pipe")
        # A child that imports MLflow reads nothing for seconds, and the search must not wait.
        os.set_blocking(child.stdin.fileno(), False)
        return child, child.stdin


def _is_stopped(pid: int) -> bool:
    import psutil  # 20 ms that TensorFlow's import would wait for

    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def write_report(descriptor: int, report: Report) -> None:
    """Write the child's record where the driver reads it."""
    record = json.dumps(report.to_json()).encode()
    os.pwrite(descriptor, record[:RECORD_BYTES].ljust(RECORD_BYTES), 0)


def wait_until_written(writer: Writer, trials: int, timeout_s: float) -> bool:
    """Wait until `trials` trials are in every store; for tests and scripts."""
    end = time.monotonic() + timeout_s
    while writer.progress().written < trials and time.monotonic() < end:
        time.sleep(0.05)
    return writer.progress().written >= trials
