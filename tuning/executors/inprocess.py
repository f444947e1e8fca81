"""`InProcessExecutor`: the executor contract without processes: a whole search in one worker,
tests, debuggers.
"""

from __future__ import annotations

import os
import queue
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from tuning.errors import TuningError
from tuning.executors.base import Died, Event, Finished, Job, Raised, Reported, Slot, Started
from tuning.executors.server import resolve
from tuning.trial import EpochReport

Start: TypeAlias = Callable[[Callable[[], None]], None]


def in_a_thread(work: Callable[[], None]) -> None:
    """Begin `work` in a thread of its own."""
    threading.Thread(target=work, name="job", daemon=True).start()


class InProcessExecutor:
    """Runs jobs one after another inside `events`, each in a thread that runs only while `events`
    waits for it.

    Limits of time are not kept, the slot's environment is not set, and a job can be cancelled at
    its reports only.

    Args:
        slots: Their names are told; only the first ever runs a job.
        start: Has another thread do a job's work, and returns at once. Keras keeps some of its
            settings a thread: who has a study's trained where the study was imported gives them to
                that thread.
    """

    def __init__(
        self, slots: tuple[Slot, ...] = (Slot("cpu:0"),), start: Start = in_a_thread
    ) -> None:
        self._slots = slots
        self._start = start
        self._waiting: deque[Job] = deque()
        self._happened: list[Event] = []
        self._running: _Run | None = None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots given."""
        return self._slots

    @property
    def room(self) -> int:
        """How many more jobs may be submitted: one running and one waiting."""
        return max(0, 2 - len(self._waiting) - (self._running is not None))

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._waiting.append(job)

    def events(self, timeout_s: float) -> list[Event]:
        """Run the next job to its end, or to a report that waits for a verdict."""
        if self._running is None and self._waiting and not self._happened:
            self._running = _Run(self._waiting.popleft(), self._slots[0].name, self._start)
        if self._running is not None and not self._happened:
            self._happened += self._running.go_on(timeout_s)
            if self._running.ended:
                self._running = None
        happened, self._happened = self._happened, []
        return happened

    def answer(self, job: str, verdict: str) -> None:
        """Answer the last report of the running job."""
        if self._running is not None and self._running.job.id == job:
            self._running.answer(verdict)

    def cancel(self, job: str) -> None:
        """Drop a waiting job, or end the running one at its report."""
        for waiting in [waiting for waiting in self._waiting if waiting.id == job]:
            self._waiting.remove(waiting)
            self._happened.append(Died(job, "cancelled", "cancelled"))
        if self._running is not None and self._running.job.id == job:
            self._running.answer(None)

    def close(self) -> None:
        """Forget what waits; a job that stands at a report is ended."""
        self._waiting.clear()
        if self._running is not None:
            self._running.answer(None)


class _Cancelled(BaseException):
    """Unwinds a cancelled job; not an Exception, so that the job does not take it for its own."""


class _Run:
    """One job in its thread, and the `Context` it is given."""

    def __init__(self, job: Job, slot: str, start: Start) -> None:
        self.job = job
        self.slot = slot
        self.ended = False
        self._said: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stopped = False
        start(self._run)

    def go_on(self, timeout_s: float) -> list[Event]:
        """Return what the job says until its next verdict or its end."""
        events: list[Event] = []
        while not self.ended:
            try:
                event = self._said.get(timeout=max(0.0, timeout_s) if not events else None)
            except queue.Empty:
                break
            if event is None:  # it waits for its verdict
                break
            events.append(event)
            self.ended = isinstance(event, Finished | Raised | Died)
        return events

    def answer(self, verdict: str | None) -> None:
        """Pass a verdict on; None cancels."""
        self._answers.put(verdict)

    def report(self, report: EpochReport) -> str:
        """See `Context.report`."""
        self._said.put(Reported(self.job.id, report))
        if self.job.wants_answer and not self._stopped:
            self._said.put(None)
            return self._take(self._answers.get())
        while not self._answers.empty():
            self._take(self._answers.get())
        return "stop" if self._stopped else "continue"

    def retire(self) -> None:
        """Nothing to replace here."""

    def _take(self, verdict: str | None) -> str:
        if verdict is None:
            raise _Cancelled
        self._stopped = self._stopped or verdict == "stop"
        return verdict

    def _run(self) -> None:
        self._said.put(Started(self.job.id, self.slot, os.getpid()))
        self._said.put(self._outcome())

    def _outcome(self) -> Event:
        try:
            value: Any = resolve(self.job.function)(*self.job.args, self)
            return Finished(self.job.id, value)
        except _Cancelled:
            return Died(self.job.id, "cancelled", "cancelled")
        except BaseException as error:  # as a worker does: it ends the job, nothing else
            exit_code = error.exit_code if isinstance(error, TuningError) else None
            return Raised(
                self.job.id, f"{type(error).__name__}: {error}", traceback.format_exc(), exit_code
            )
