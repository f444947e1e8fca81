"""Why a search ends before its time: signals, the deadline, a used-up budget.

Handlers set flags; loop and finals look at them.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tuning.search.slots.until import Until

GRACE_S = 0.8
"""After SIGTERM: time for the running trials to reach the end of their epoch."""
DRAIN_S = 30.0
"""The same after the moment of `--until`: somebody waits for the devices, not for the kernel."""
STOP_MESSAGES = {
    "timeout": "time is up: the running trials are let go at the end of their epoch",
    "interrupted": (
        "interrupted: the running trials end, then this run does; Ctrl-C again ends it at once"
    ),
    "terminated": "terminated",
    "until": (
        "the moment of --until has come: the running trials are let go at the end of their epoch, "
        f"or after {DRAIN_S:.0f} s; the same command goes on"
    ),
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
    Deadline: no trial is begun any more. `--until`: the same, and nothing else is begun either.

    A handler that did more than set a flag could cut a message to a worker in two. While nothing of
    that kind is going on (TensorFlow is starting, a device is waited for) it raises instead, so
    that a user need not wait.

    Attributes:
        deadline: On the monotonic clock; None: none.
        n_looks: How often SIGUSR1 has come: what was written for this run is to be read now.

    Args:
        enough: Whether a budget that is counted in something else than trials is used up; asked
            often.
        until: The moment at which the run ends; None: there is none.
    """

    def __init__(
        self, enough: Callable[[], bool] = lambda: False, until: Until | None = None
    ) -> None:
        self.deadline: float | None = None
        self.n_looks = 0
        self._enough = enough
        self._until = until
        self._drains_since: float | None = None
        self._interrupts = 0
        self._terminated_at: float | None = None
        self._raises = True

    def end_when(self, enough: Callable[[], bool]) -> None:
        """Have the run end when a budget that is counted in something else than trials is used up.

        Args:
            enough: Whether it is; asked often.
        """
        self._enough = enough

    @property
    def reason(self) -> str:
        """Why no further trial is begun.

        "terminated", "interrupted", "until", "timeout", "budget" or "".
        """
        if self._terminated_at is not None:
            return "terminated"
        if self._interrupts:
            return "interrupted"
        if self._drains:
            return "until"
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return "timeout"
        return "budget" if self._enough() else ""

    @property
    def by_signal(self) -> bool:
        """Whether somebody wants the run to end, be there a winner or not.

        `--until` is such a signal, given beforehand.
        """
        return self.reason in ("interrupted", "terminated", "until")

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
        if self._terminated_at is not None:
            return time.monotonic() >= self._terminated_at + GRACE_S
        return self._drains and time.monotonic() >= (self._drains_since or 0.0) + DRAIN_S

    @property
    def gives_up_at(self) -> float:
        """When a device is not waited for any longer, on the monotonic clock; maybe never."""
        at = math.inf if self.deadline is None else self.deadline
        if self._until is not None:
            at = min(at, time.monotonic() + self._until.seconds_left)
        return at

    @property
    def _drains(self) -> bool:
        """Whether the moment of `--until` has come; a clock that is set back changes that not."""
        if self._drains_since is None and self._until is not None and self._until.has_come:
            self._drains_since = time.monotonic()
        return self._drains_since is not None

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM, SIGHUP and SIGUSR1 in this block.

        A terminal that goes away ends the run as SIGTERM does, unless `nohup` has it ignored.
        Outside the main thread Python has no signals: there nothing is changed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        handlers = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._terminate}
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            handlers[signal.SIGHUP] = self._terminate
        handlers[signal.SIGUSR1] = self._look
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

    def _look(self, *_: object) -> None:
        self.n_looks += 1

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

    From the first moment of a command on; `StopRequest.handled` takes them over later. SIGUSR1,
    which would end a process that has no handler, does nothing until then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    numbers = (signal.SIGTERM, signal.SIGHUP)
    # What is ignored, by `nohup`, stays ignored.
    taken = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _exit_terminated)
    if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
        taken.append(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, _do_nothing)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _exit_terminated(*_: object) -> None:
    raise SystemExit(ENDED_BY_SIGNAL["terminated"])


def _do_nothing(*_: object) -> None:
    pass


def go_on_after(status: str) -> None:
    """Let a program of several searches go on, unless a signal has ended the last one.

    A signal is meant for all of them.

    Raises:
        SystemExit: With the exit code of that signal.
    """
    if status in ENDED_BY_SIGNAL:
        raise SystemExit(ENDED_BY_SIGNAL[status])
