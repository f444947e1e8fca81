"""`Silence`: for how long a process has said nothing, while we listened."""

from __future__ import annotations

import time

_LONGEST_STEP_S = 2.0
"""More between two looks does not count: the driver itself was stopped, or at something else."""
_WORK_S = 0.05
"""Processor time in half of a limit that shows that a process works, though it cannot beat."""


class Silence:
    """Watches one process.

    Where the whole job is stopped and let go again, the time of the stop does not count. Nor does
    silence while the process computes: a library in C that keeps Python's lock stops its heartbeat.

    Attributes:
        seconds: Of silence so far.

    Args:
        limit_s: Seconds of silence after which it counts as stopped; None: never.
    """

    def __init__(self, limit_s: float | None) -> None:
        self.seconds = 0.0
        self._limit_s = limit_s
        self._n_heard = 0
        self._looked_at = time.monotonic()
        self._worked_s: float | None = None

    def exceeded(self, n_heard: int, pid: int) -> bool:
        """Look; return whether the process has been silent and idle for the limit.

        Args:
            n_heard: Changes whenever something was heard of it.
            pid: Of the process.
        """
        now = time.monotonic()
        step_s = min(now - self._looked_at, _LONGEST_STEP_S)
        self._looked_at = now
        if n_heard != self._n_heard:
            self._n_heard = n_heard
            self._begin()
            return False

        self.seconds += step_s
        if self._limit_s is None or self.seconds < self._limit_s / 2:
            return False
        if self._worked_s is None:
            self._worked_s = processor_seconds(pid)
            return False
        if self.seconds < self._limit_s:
            return False
        if processor_seconds(pid) - self._worked_s >= _WORK_S:
            self._begin()
            return False
        return True

    def _begin(self) -> None:
        self.seconds = 0.0
        self._worked_s = None


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used; 0 where it is gone."""
    import psutil  # 20 ms that TensorFlow's import would wait for

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
