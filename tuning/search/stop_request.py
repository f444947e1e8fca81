"""Why a search ends before its time: signals, the deadline, a used-up budget.

Handlers set flags; loop and finals look at them.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GRACE_S = 0.8
"""After SIGTERM: time for the running trials to reach the end of their epoch."""
STOP_MESSAGES = {
    "timeout": "time is up: the running trials are let go at the end of their epoch",
    "interrupted": (
        "interrupted: the running trials end, then this run does; Ctrl-C again ends it at once"
    ),
    "terminated": "terminated",
    "budget": "the budget is used up",
}
"""What the user is told, by reason."""
ENDED_BY_SIGNAL = {"interrupted": 130, "terminated": 143}
"""Exit codes, by reason."""
_LATE_S = 0.3
"""How much later than our workers we may get a signal that was sent to all of a job."""
_ABORTS = 2
"""Ctrl-C so often: the running trials are let go at once."""
_INSISTS = 3
"""Ctrl-C so often: whatever is being done is left."""


class StopRequest:
    """What asks a run to end.

    Ctrl-C once: the running trials end; twice: at once. SIGTERM: at once, after a moment's grace.
    Deadline: no trial is begun any more.

    A handler that did more than set a flag could cut a message to a worker in two. While nothing of
    that kind is going on (TensorFlow is starting, a device is waited for) it raises instead, so
    that a user need not wait.

    Attributes:
        deadline: On the monotonic clock; None: none.

    Args:
        enough: Whether a budget that is counted in something else than trials is used up; asked
            often.
    """

    def __init__(self, enough: Callable[[], bool] = lambda: False) -> None:
        self.deadline: float | None = None
        self._enough = enough
        self._interrupts = 0
        self._terminated_at: float | None = None
        self._raises = True

    @property
    def reason(self) -> str:
        """Why no further trial is begun: "terminated", "interrupted", "timeout", "budget" or ""."""
        if self._terminated_at is not None:
            return "terminated"
        if self._interrupts:
            return "interrupted"
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return "timeout"
        return "budget" if self._enough() else ""

    @property
    def by_signal(self) -> bool:
        """Whether somebody wants the run to end, be there a winner or not."""
        return self.reason in ("interrupted", "terminated")

    def by_signal_soon(self) -> bool:
        """`by_signal`, now or within a moment.

        systemd and Slurm signal all processes of a job, ours maybe last.
        """
        if not self.by_signal:
            time.sleep(_LATE_S)
        return self.by_signal

    @property
    def hurried(self) -> bool:
        """Whether everything that can be done later is left out."""
        return self._terminated_at is not None or self._interrupts >= _ABORTS

    @property
    def abandoned(self) -> bool:
        """Whether the running trials are not waited for any longer."""
        if self._interrupts >= _ABORTS:
            return True
        if self._terminated_at is None:
            return False
        return time.monotonic() >= self._terminated_at + GRACE_S

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGHUP in this block.

        A terminal that goes away ends the run as SIGTERM does, unless `nohup` has it ignored.
        Outside the main thread Python has no signals: there nothing is changed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        handlers = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._terminate}
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            handlers[signal.SIGHUP] = self._terminate
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                # None: it was set by a library in C, which Python cannot put back.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextmanager
    def flags_only(self) -> Iterator[None]:
        """Signals raise nothing in this block, except a third Ctrl-C."""
        yield from self._with(raises=False)

    @contextmanager
    def may_raise(self) -> Iterator[None]:
        """Signals raise in this block, also those that have come."""
        if self._terminated_at is not None:
            raise SystemExit(143)
        if self._interrupts:
            raise KeyboardInterrupt
        yield from self._with(raises=True)

    def _with(self, *, raises: bool) -> Iterator[None]:
        before = self._raises
        self._raises = raises
        try:
            yield
        finally:
            self._raises = before

    def _interrupt(self, *_: object) -> None:
        self._interrupts += 1
        if self._raises or self._interrupts >= _INSISTS:
            raise KeyboardInterrupt

    def _terminate(self, *_: object) -> None:
        if self._terminated_at is None:
            self._terminated_at = time.monotonic()
        if self._raises:
            raise SystemExit(143)


@contextmanager
def terminated_is_exit() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end what is done in this block with exit code 143, its files closed.

    From the first moment of a command on; `StopRequest.handled` takes them over later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    numbers = (signal.SIGTERM, signal.SIGHUP)
    # What is ignored, by `nohup`, stays ignored.
    taken = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _exit_terminated)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _exit_terminated(*_: object) -> None:
    raise SystemExit(ENDED_BY_SIGNAL["terminated"])


def go_on_after(status: str) -> None:
    """Let a program of several searches go on, unless a signal has ended the last one.

    A signal is meant for all of them.

    Raises:
        SystemExit: With the exit code of that signal.
    """
    if status in ENDED_BY_SIGNAL:
        raise SystemExit(ENDED_BY_SIGNAL[status])
