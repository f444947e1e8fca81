"""`LocalExecutor`: one worker process for each leased slot of this box."""

from __future__ import annotations

import math
import pickle
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tuning.errors import BusyError, TuningError
from tuning.executors.base import Died, Event, Finished, Job, Raised, Reported, Slot, Started
from tuning.executors.forkserver import ForkServer
from tuning.executors.leases import Lease, Leases, release, somebody_waits
from tuning.executors.local_worker import Entry, LocalWorker
from tuning.executors.worker import Limits

_POLL_S = 0.2  # while no slot is free
_GROW_S = 1.0  # between looks for further slots
_FALSE_STARTS = 5  # of a slot in a row
_NO_LIMITS = Limits()


class LocalExecutor:
    """Runs jobs in worker processes, one for each slot; single-threaded, all of it happens inside
    `events`.

    Takes all the slots that are free, waits for one where none is, and picks up the others as they
    come free.

    Args:
        slots: The slots wanted, from `parse_devices`.
        forkserver: Started or not.
        leases: Where devices are leased.
        log_folder: Gets one capped log for each slot.
        limits: When a worker is replaced, how much it may print.
        label: Who holds the devices, as told to others: the study's name.
        until: On the monotonic clock, when to give up waiting for a free slot.
        notice: Told once, in words, what is waited for.

    Raises:
        BusyError: No slot was free until then.
        MissingError: The workers cannot import what trials need.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        *,
        forkserver: ForkServer,
        leases: Leases,
        log_folder: Path,
        limits: Limits = _NO_LIMITS,
        label: str = "",
        until: float = math.inf,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        forkserver.start()
        self._forkserver = forkserver
        self._leases = leases
        self._folder = log_folder
        self._limits = limits
        self._label = label
        self._wanted = list(slots)
        self._workers: list[LocalWorker] = []
        self._waiting: deque[Entry] = deque()
        self._happened: list[Event] = []
        self._grow_at = time.monotonic() + _GROW_S
        try:
            self._acquire(until, notice)
        except BaseException:  # KeyboardInterrupt too: nothing may keep a lease
            self.close()
            raise

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots held now."""
        return tuple(worker.slot for worker in self._workers)

    @property
    def room(self) -> int:
        """How many more jobs may be submitted so that each slot has one running and one waiting."""
        given = sum(len(worker.entries) for worker in self._workers)
        return max(0, 2 * len(self._workers) - given - len(self._waiting))

    def submit(self, job: Job) -> None:
        """Queue a job; it starts when a slot is free."""
        self._waiting.append(Entry.of(job))
        self._feed()

    def events(self, timeout_s: float) -> list[Event]:
        """Wait at most `timeout_s` for something to happen; return all that has, in order."""
        until = time.monotonic() + timeout_s
        while True:
            self._grow()
            self._feed()
            if self._happened:
                timeout_s = 0.0
            self._listen(min([timeout_s, *self._next_duties()]))
            self._feed()
            timeout_s = until - time.monotonic()
            if self._happened or timeout_s <= 0:
                happened, self._happened = self._happened, []
                return happened

    def answer(self, job: str, verdict: str) -> None:
        """Answer the last report of a job; one that has ended meanwhile is not bothered."""
        for worker in self._workers:
            if worker.running and worker.running.job.id == job:
                worker.awaiting = False
                worker.progress = time.monotonic()
                worker.child.wire.post(("answer", job, verdict))

    def cancel(self, job: str) -> None:
        """Stop a job at once, by ending its worker; a waiting job is dropped. It ends in
        Died("cancelled").
        """
        died = Died(job, "cancelled", "cancelled")
        for entry in [entry for entry in self._waiting if entry.job.id == job]:
            self._waiting.remove(entry)
            self._happened.append(died)
        for worker in self._workers:
            for entry in [entry for entry in worker.entries if entry.job.id == job]:
                if entry.started:
                    worker.end(died, signal.SIGKILL)
                else:
                    worker.disown(entry)
                    self._happened.append(died)

    def close(self) -> None:
        """End all workers and give the leases back; jobs that have not ended are forgotten."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.child.signal(signal.SIGKILL)
            worker.child.wire.close()  # one that is still to be forked ends at once
        until = time.monotonic() + 2.0
        for worker in workers:
            worker.child.join(max(0.0, until - time.monotonic()))
            worker.child.close()
            release(worker.leases)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def _acquire(self, until: float, notice: Callable[[str], None] | None) -> None:
        names = [name for slot in self._wanted for name in _names(slot)]
        with self._leases.queue(names) as ticket:
            while not self._take(lambda slot: not ticket.ahead(_names(slot))):
                holders = ", ".join(
                    f"{name} is held by {self._leases.holder(name)}" for name in names[:4]
                )
                if time.monotonic() >= until:
                    raise BusyError(
                        f"no device is free, and there is no time left to wait for one: {holders}"
                    )
                if notice is not None:
                    notice(f"waiting for a device: {holders}")
                    notice = None
                time.sleep(_POLL_S)

    def _take(self, may: Callable[[Slot], bool]) -> bool:
        """Lease the wanted slots that are free and begin their workers; return whether there was
        one.
        """
        before = len(self._workers)
        for slot in [slot for slot in self._wanted if may(slot)]:
            leases = self._leases.acquire_all(_names(slot), self._label)
            if leases is not None:
                try:
                    self._workers.append(self._begin(slot, leases))
                except BaseException:
                    release(leases)
                    raise
                self._wanted.remove(slot)
        return len(self._workers) > before

    def _begin(self, slot: Slot, leases: tuple[Lease, ...]) -> LocalWorker:
        return LocalWorker.begin(self._forkserver, slot, leases, self._folder, self._limits)

    def _grow(self) -> None:
        """Pick up slots that came free, but never before somebody who has none."""
        if self._wanted and time.monotonic() >= self._grow_at:
            self._grow_at = time.monotonic() + _GROW_S
            self._take(lambda slot: not somebody_waits(self._leases, _names(slot)))

    def _feed(self) -> None:
        """Give waiting jobs to idle workers, then one ahead to each; take one back where a worker
        idles.
        """
        for depth in (0, 1):
            for worker in self._workers:
                if self._waiting and len(worker.entries) == depth and worker.cause is None:
                    worker.give(self._waiting.popleft())
        idle = sum(not worker.entries and worker.cause is None for worker in self._workers)
        ahead = [(worker, entry) for worker in self._workers for entry in list(worker.entries)[1:]]
        idle -= sum(entry.recalled for _, entry in ahead)
        for worker, entry in [pair for pair in ahead if not pair[1].recalled][: max(0, idle)]:
            worker.recall(entry)

    def _next_duties(self) -> list[float]:
        now = time.monotonic()
        deadlines = [at for worker in self._workers if (at := worker.deadline()) is not None]
        if self._wanted:
            deadlines.append(self._grow_at)
        return [max(0.0, at - now) for at in deadlines]

    def _listen(self, timeout_s: float) -> None:
        poller = select.poll()
        for worker in self._workers:
            writing = select.POLLOUT if worker.child.wire.pending else 0
            if not worker.child.wire.closed:
                poller.register(worker.child.wire.fileno(), select.POLLIN | writing)
            poller.register(worker.child.sentinel, select.POLLIN)
        if self._forkserver.fileno() >= 0:
            poller.register(self._forkserver.fileno(), select.POLLIN)
        poller.poll(max(0.0, timeout_s) * 1000)
        self._forkserver.check()
        for worker in list(self._workers):
            worker.child.wire.flush()
            ended = (
                worker.child.poll() is not None
            )  # before reading: what it said last is then in the wire
            for message in worker.child.wire.receive():
                self._hear(worker, *message)
            if ended:
                self._bury(worker)
        now = time.monotonic()
        for worker in self._workers:
            worker.enforce(now)

    def _hear(self, worker: LocalWorker, kind: str, *content: Any) -> None:
        if kind == "hello":
            worker.hello = True
            worker.reset_clock()
            return
        job, *rest = content
        entry = next((entry for entry in worker.entries if entry.job.id == job), None)
        if entry is None:  # cancelled while it began
            if kind == "started":
                worker.end(Died(job, "cancelled", "cancelled"), signal.SIGKILL)
        elif kind == "started":
            entry.started = True
            worker.reset_clock()
            self._happened.append(Started(job, worker.slot.name, worker.child.pid or 0))
        elif kind == "report":
            worker.progress, worker.awaiting = time.monotonic(), entry.job.wants_answer
            self._happened.append(Reported(job, rest[0]))
        elif kind == "dropped":
            worker.entries.remove(entry)
            self._waiting.appendleft(entry)
        else:
            worker.entries.remove(entry)
            worker.reset_clock()
            self._happened.append(_ended(kind, job, *rest[:-1]))

    def _bury(self, worker: LocalWorker) -> None:
        """A worker is gone: tell its job's end, queue again what it had not begun, put a new one in
        its place.
        """
        running = worker.running
        if running is not None:
            worker.entries.popleft()
            self._happened.append(worker.death_of(running.job.id))
        self._waiting.extendleft(reversed(worker.entries))
        false_starts = 0 if worker.hello else worker.false_starts + 1
        if false_starts >= _FALSE_STARTS:
            raise TuningError(
                f"workers on {worker.slot.name} end before they begin: {worker.death_of('').detail}"
            )
        worker.child.close()
        successor = self._begin(worker.slot, worker.leases)
        successor.false_starts = false_starts
        self._workers[self._workers.index(worker)] = successor


def _names(slot: Slot) -> list[str]:
    return slot.name.split("+")


def _ended(kind: str, job: str, *rest: Any) -> Finished | Raised:
    if kind == "raised":
        return Raised(job, *rest)
    try:
        return Finished(job, pickle.loads(rest[0]))  # noqa: S301 - from our own worker
    except Exception as error:  # its class cannot be imported here
        return Raised(job, f"the result cannot be unpickled: {type(error).__name__}: {error}", "")
