"""Finds the processes of a run by their part, and does to them what the world does.

`ps` shows each part under a name of its own, see `tuning.executors.supervision.parts`.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from tuning.executors.supervision.parts import PARTS

STOPPABLE = ("forkserver", "engine", "worker")


def processes_of(driver: int, part: str) -> list[psutil.Process]:
    """Return the live processes of a part below a driver, e.g. `engine`, `worker`, `writer`."""
    try:
        children = psutil.Process(driver).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process for process in children if _name_of(process) == PARTS[part].name]


def _name_of(process: psutil.Process) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return Path(f"/proc/{process.pid}/comm").read_text().strip()
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return ""


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that is only still to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Injection(NamedTuple):
    """What was done: `at` in seconds since the injector began."""

    at: float
    part: str
    pid: int
    number: int


class Injector:
    """Sends a signal to one process of a part at random moments, until it is left.

    Attributes:
        injections: What was done so far.

    Args:
        driver: Its process id.
        part: Whose processes are hit.
        number: The signal, e.g. SIGSTOP.
        pause_s: Shortest and longest pause between two.
        most: End after so many.
        seed: Of the moments.
    """

    def __init__(
        self,
        driver: int,
        part: str,
        number: int = signal.SIGSTOP,
        *,
        pause_s: Sequence[float] = (0.2, 3.0),
        most: int = 100,
        seed: int = 0,
    ) -> None:
        self.injections: list[Injection] = []
        self._driver = driver
        self._part = part
        self._number = number
        self._pause_s = pause_s
        self._most = most
        self._chance = random.Random(seed)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._inject, daemon=True)

    def __enter__(self) -> Injector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _inject(self) -> None:
        began_at = time.monotonic()
        while len(self.injections) < self._most:
            if self._left.wait(self._chance.uniform(*self._pause_s)):
                return
            found = processes_of(self._driver, self._part)
            if not found:
                continue
            process = self._chance.choice(found)
            try:
                process.send_signal(self._number)
            except psutil.NoSuchProcess:
                continue
            at = time.monotonic() - began_at
            self.injections.append(Injection(at, self._part, process.pid, self._number))
