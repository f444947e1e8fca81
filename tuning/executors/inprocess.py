"""`InProcessExecutor`: the executor contract without processes.

For a benchmark's search, which has one worker to itself, for tests and debuggers.
"""

from __future__ import annotations

import os
import queue
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tuning.errors import StudyError
from tuning.executors.base import Died, Event, Finished, Job, Raised, Reported, Started
from tuning.executors.devices.slot import Slot
from tuning.executors.worker import exit_code_of
from tuning.storage.secrets import without_secrets
from tuning.trial import Answer, EpochReport

Start: TypeAlias = Callable[[Callable[[], None]], None]


def in_a_thread(work: Callable[[], None]) -> None:
    """Begin `work` in a thread of its own."""
    threading.Thread(target=work, name="job", daemon=True).start()


class InProcessExecutor:
    """Runs jobs one after another inside `events`.

    Each has a thread of its own, which runs only while `events` waits for it.

    Limits of time are not kept, the slot's environment is not set, and a job can be cancelled at
    its reports only. Its arguments are not copied.

    Args:
        slots: Only the first ever runs a job.
        start: Has another thread do a job's work, and returns at once. Keras keeps some of its
            settings a thread: whoever wants a study trained where it was imported gives them to
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
        """The slots it was made with."""
        return self._slots

    @property
    def leaving(self) -> tuple[Slot, ...]:
        """None: they stay."""
        return ()

    @property
    def room(self) -> int:
        """How many more jobs may be submitted: one running and one waiting."""
        return max(0, 2 - len(self._waiting) - (self._running is not None))

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._waiting.append(job)

    def events(self, timeout_s: float) -> list[Event]:
        """Run the next job to its end, or to a report that waits for an answer."""
        if self._running is None and self._waiting and not self._happened:
            self._running = _Run(self._waiting.popleft(), self._slots[0].name, self._start)
        if self._running is not None and not self._happened:
            self._happened += self._running.go_on(timeout_s)
            if self._running.ended:
                self._running = None
        happened = self._happened
        self._happened = []
        return happened

    def answer(self, job: str, answer: Answer) -> None:
        """Answer the last report of the running job."""
        if self._running is not None and self._running.job.id == job:
            self._running.answer(answer)

    def cancel(self, job: str) -> None:
        """Drop a waiting job, or end the running one at its report."""
        for waiting in list(self._waiting):
            if waiting.id == job:
                self._waiting.remove(waiting)
                self._happened.append(Died(job, "cancelled", "cancelled"))
        if self._running is not None and self._running.job.id == job:
            self._running.cancel()

    def resize(self, slots: Sequence[Slot]) -> None:
        """Refuse: there is one process, and it is the caller's.

        Raises:
            StudyError: Always.
        """
        raise StudyError(
            "the executor inprocess has one slot for good; run with --executor local",
            where="--executor",
        )

    def close(self) -> None:
        """Forget what waits; a job that stands at a report is ended."""
        self._waiting.clear()
        if self._running is not None:
            self._running.cancel()


class _Cancelled(BaseException):
    """Unwinds a cancelled job; not an Exception, so that the job does not take it for its own."""


class _Run:
    """One job in its thread, and the `Context` that its function gets.

    The job's thread puts its events into one queue, and None where it stands still until it has an
    answer. Answers go through the other; None cancels.
    """

    def __init__(self, job: Job, slot: str, start: Start) -> None:
        self.job = job
        self.slot = slot
        self.ended = False
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._stopped = False
        start(self._run)

    # --- the driver's side ---

    def go_on(self, timeout_s: float) -> list[Event]:
        """Return what happens until the job waits for an answer or ends."""
        events: list[Event] = []
        while not self.ended:
            try:
                # The time is for the first event. Those after it are on their way.
                event = self._events.get(timeout=None if events else max(0.0, timeout_s))
            except queue.Empty:
                break

            if event is None:  # it waits for its answer
                break
            events.append(event)
            self.ended = isinstance(event, Finished | Raised | Died)
        return events

    def answer(self, answer: Answer) -> None:
        """Pass an answer on."""
        self._answers.put(answer)

    def cancel(self) -> None:
        """End the job at its next report."""
        self._answers.put(None)

    # --- the job's side ---

    def report(self, report: EpochReport) -> Answer:
        """See `Context.report`."""
        self._events.put(Reported(self.job.id, report))
        if self.job.wants_answer and not self._stopped:
            self._events.put(None)
            return self._take(self._answers.get())
        while not self._answers.empty():
            self._take(self._answers.get())
        return Answer.STOP if self._stopped else Answer.CONTINUE

    def retire(self) -> None:
        """Nothing to replace here."""

    def _take(self, answer: Answer | None) -> Answer:
        if answer is None:
            raise _Cancelled
        if answer == Answer.STOP:
            self._stopped = True
        return answer

    def _run(self) -> None:
        self._events.put(Started(self.job.id, self.slot, os.getpid()))
        self._events.put(self._outcome())

    def _outcome(self) -> Event:
        try:
            return Finished(self.job.id, self.job.call(self))
        except _Cancelled:
            return Died(self.job.id, "cancelled", "cancelled")
        except BaseException as error:  # as a worker does: it ends the job, nothing else
            message = without_secrets(f"{type(error).__name__}: {error}")
            return Raised(self.job.id, message, traceback.format_exc(), exit_code_of(error))
