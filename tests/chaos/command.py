"""One `tuning` command in a home of its own, run again and again, and what lives there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
HOOK = Path(__file__).parent / "hook"
_WRITER = "tuning-writer"


def _paths() -> list[str]:
    """Return what was on the path besides, e.g. a driver of a database."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


class Command:
    """A command that faults hit; each start is a new process on the same state folder.

    Attributes:
        home: Its state folder.
        process: The one that runs, or the last that ran.
        environment: Variables besides.

    Args:
        folder: Of its own; holds home, leases and output.
        words: Of the command line, after `tuning`.
        environment: Variables besides, e.g. those of `hook/sitecustomize.py`.
    """

    def __init__(self, folder: Path, words: Sequence[str], **environment: str) -> None:
        self.home = folder / "home"
        self.leases = folder / "leases"
        self.words = tuple(words)
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self.environment = environment
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start the command, or another one on the same home."""
        env = {
            **os.environ,
            "TUNING_HOME": str(self.home),
            "TUNING_LEASES": str(self.leases),
            "PYTHONPATH": os.pathsep.join([str(HOOK), str(ROOT), *_paths()]),
            "CHAOS_LOG": str(self._folder / "kills"),
            **self.environment,
            **environment,
        }
        for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE", "TUNING_DEVICES"):
            if name not in self.environment and name not in environment:
                env.pop(name, None)
        with open(self._folder / "output", "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tuning", *(words or self.words)],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self.process

    def finish(self, timeout_s: float, *words: str) -> int:
        """Run the command, or another one, to its end without a fault; return its exit code.

        Raises:
            subprocess.TimeoutExpired: It hangs; it was killed.
        """
        process = self.start(*words)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise

    @property
    def output(self) -> str:
        """What all its processes have said, in turn."""
        path = self._folder / "output"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def failpoint_kills(self) -> list[float]:
        """When failpoints have killed a process, Unix seconds."""
        path = self._folder / "kills"
        if not path.exists():
            return []
        return [float(line.split()[0]) for line in path.read_text().splitlines()]

    def processes(self, *, with_writer: bool = True) -> list[psutil.Process]:
        """Return all that live on this home, wherever they were forked."""
        mark = f"TUNING_HOME={self.home}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark not in (folder / "environ").read_bytes().split(b"\0"):
                    continue
                name = (folder / "comm").read_text().strip()
                process = psutil.Process(int(folder.name))
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
            except (OSError, psutil.Error):
                continue
            if with_writer or name != _WRITER:
                found.append(process)
        return found

    def wait_for_orphans(self, timeout_s: float, *, with_writer: bool = False) -> float | None:
        """Wait until nothing lives here but the writer; return the seconds, None: too many."""
        began = time.monotonic()
        while self.processes(with_writer=with_writer):
            if time.monotonic() - began > timeout_s:
                return None
            time.sleep(0.1)
        return time.monotonic() - began

    def kill_all(self) -> None:
        """SIGKILL everything on this home at once, as a reboot does; reap the driver."""
        while found := self.processes():
            for process in found:
                try:
                    process.send_signal(signal.SIGKILL)
                except psutil.NoSuchProcess:
                    continue
            if self.process is not None:
                self.process.poll()
            time.sleep(0.05)
        if self.process is not None:
            self.process.wait()
