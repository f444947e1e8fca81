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
from typing import Self

from tuning.errors import TuningError
from tuning.executors.base import Died, Event, Finished, Job, Raised, Reported, Started
from tuning.executors.child import Child
from tuning.executors.devices.leases import Lease, Leases, release
from tuning.executors.devices.slot import Slot
from tuning.executors.forkserver import ForkServer
from tuning.executors.local_worker import LocalWorker, QueuedJob
from tuning.executors.messages import Begun, Dropped, Epoch, Failed, Hello, Returned, ToDriver
from tuning.executors.placement.in_order import InOrder
from tuning.executors.placement.policy import Placement
from tuning.executors.planned_feed import PlannedFeed
from tuning.executors.supervision.logs import cap
from tuning.executors.supervision.memory_guard import MemoryGuard
from tuning.executors.supervision.parts import FORKSERVER
from tuning.executors.turns import Turns
from tuning.executors.worker import Limits
from tuning.trial import Answer

_LOOK_S = 1.0  # between looks whether forkserver and workers are alive
_EARLY_S = 0.2  # so much earlier it looks at workers and memory where it is awake anyhow
_FALSE_STARTS = 5  # of a slot in a row
_NO_LIMITS = Limits()


class LocalExecutor:
    """Runs jobs in worker processes, one for each slot.

    Single-threaded: all of it happens inside `events`, and `messages` shows what is said when.
    Takes all the slots that are free, waits for one where none is, and picks up the others as they
    come free: `turns` says when. Here is how jobs come to workers and events back, and what is done
    about a worker that has ended or has to be.

    Workers on CPU cores stay warm while their slot is given back; one that holds a GPU's memory is
    kept while nobody waits, and ended when somebody does.

    Args:
        slots: The slots wanted, from `parse_devices`.
        forkserver: Started or not.
        leases: Where devices are leased; None: where all searches of this user lease theirs.
        log_folder: Gets one capped log for each slot.
        limits: When a worker is replaced, how much it may print.
        label: Who holds the devices, for messages to others: the study's name.
        until: On the monotonic clock, when to give up waiting for a free slot.
        notice: Called once with what is waited for, in words.
        placement: Says which job goes to which slot; None: the first that waits goes to the first
            that is free.

    Raises:
        BusyError: No slot was free until then.
        MissingError: The workers cannot import what trials need.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        *,
        forkserver: ForkServer,
        log_folder: Path,
        leases: Leases | None = None,
        limits: Limits = _NO_LIMITS,
        label: str = "",
        until: float = math.inf,
        notice: Callable[[str], None] | None = None,
        placement: Placement | None = None,
    ) -> None:
        # TensorFlow is imported while a slot is waited for.
        forkserver.start()
        self._forkserver = forkserver
        self._folder = log_folder
        self._limits = limits

        self._turns = Turns(slots, leases=leases, label=label, begin=self._begin)
        self._workers: list[LocalWorker] = []
        self._waiting: deque[QueuedJob] = deque()
        self._leaving: list[Child] = []
        self._happened: list[Event] = []
        self._planned = None if placement is None else PlannedFeed(placement)
        self._in_order = InOrder(
            give=LocalWorker.give, recall=LocalWorker.recall, may_use=self._turns.may_use
        )
        self._look_at = 0.0
        self._is_served = False  # nothing was asked for since slots and jobs were looked at
        self._memory = MemoryGuard(limits.memory_bytes, take_turn=self._turns.take_memory_turn)

        try:
            self._turns.wait_for_first(until, notice)
        except BaseException:  # KeyboardInterrupt too: nothing may keep a lease
            self.close()
            raise

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots worked on, without those that a plan has no use for."""
        slots = tuple(worker.slot for worker in self._workers if worker.leave_by is None)
        return slots if self._planned is None else self._planned.placement.used(slots)

    @property
    def leaving(self) -> tuple[Slot, ...]:
        """The slots that are being given up: what runs there has not ended yet."""
        return tuple(worker.slot for worker in self._workers if worker.leave_by is not None)

    @property
    def room(self) -> int:
        """How many more jobs may be submitted so that each slot has one running and one waiting."""
        jobs = len(self._waiting) + sum(len(worker.jobs) for worker in self._workers)
        return max(0, 2 * max(1, len(self.slots)) - jobs)

    @property
    def wanted_elsewhere(self) -> bool:
        """Whether another search waits for one of the slots held."""
        names = [name for worker in self._workers if worker.leases for name in worker.slot.devices]
        return self._turns.is_waited_for(names)

    def submit(self, job: Job) -> None:
        """Queue a job; it starts when a slot is free."""
        self._waiting.append(QueuedJob(job.packed()))
        self._is_served = False
        self._feed()

    def events(self, timeout_s: float) -> list[Event]:
        """Wait at most `timeout_s` for something to happen; return all that has, in order."""
        until = time.monotonic() + timeout_s
        if not self._is_served:
            self._serve()
        while True:
            if self._happened:
                timeout_s = 0.0
            self._listen(min([timeout_s, *self._next_duties()]))
            self._serve()

            timeout_s = until - time.monotonic()
            if self._happened or timeout_s <= 0:
                happened = self._happened
                self._happened = []
                if self._planned is not None:
                    self._planned.see(happened)
                return happened

    def _serve(self) -> None:
        """Take slots, give jobs to their workers, give back what is not used."""
        self._turns.grow()
        self._feed()
        self._share()
        self._is_served = True

    def answer(self, job: str, answer: Answer) -> None:
        """Answer the last report of a job; nothing where it has ended meanwhile."""
        for worker in self._workers:
            if worker.running and worker.running.job.id == job:
                worker.answer(answer)

    def cancel(self, job: str) -> None:
        """Stop a job at once, by ending its worker; a waiting job is dropped.

        It ends in Died("cancelled").
        """
        self._is_served = False
        died = Died(job, "cancelled", "cancelled")
        for queued in list(self._waiting):
            if queued.job.id == job:
                self._waiting.remove(queued)
                self._happened.append(died)

        for worker in self._workers:
            at_worker = worker.find(job)
            if at_worker is None:
                continue
            if at_worker.started:
                worker.end(died, signal.SIGKILL)
            else:
                worker.disown(at_worker)
                self._happened.append(died)

    def resize(self, slots: Sequence[Slot]) -> None:
        """Work on these slots from now on.

        New ones are taken as they come free. One that goes is given up when its job has ended, has
        stopped at its next report, or after `LEAVE_S`.
        """
        self._is_served = False
        names = {slot.name for slot in slots}
        for worker in self._workers:
            if worker.slot.name not in names:
                worker.leave()
        # One that comes back while it is still being given up is taken anew when it is free.
        held = {worker.slot.name for worker in self._workers if worker.leave_by is None}
        self._turns.want([slot for slot in slots if slot.name not in held])

    def close(self) -> None:
        """End all workers and give the leases back; jobs that have not ended are forgotten."""
        workers = self._workers
        self._workers = []
        self._turns.leave_line()
        for worker in workers:
            worker.child.signal(signal.SIGKILL)
            worker.child.wire.close()  # one that is still to be forked ends at once

        until = time.monotonic() + 2.0
        for worker in workers:
            worker.child.join(max(0.0, until - time.monotonic()))
            worker.child.close()
            release(worker.leases)
        for child in self._leaving:
            child.join(max(0.0, until - time.monotonic()))
            child.close()
        self._leaving = []
        self._memory.close()
        self._turns.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    # --- turns: a slot is held for a trial ---

    def _begin(self, slot: Slot, leases: tuple[Lease, ...]) -> None:
        self._workers.append(self._forked(slot, leases))

    def _forked(self, slot: Slot, leases: tuple[Lease, ...]) -> LocalWorker:
        return LocalWorker.begin(self._forkserver, slot, leases, self._folder, self._limits)

    def _share(self) -> None:
        """Give back what is not used, or wanted elsewhere; stand in line where nothing is left."""
        is_recalling = any(queued.recalled for worker in self._workers for queued in worker.jobs)
        for worker in list(self._workers):
            if worker.leave_by is not None:
                self._make_way(worker)
                continue
            if not worker.leases or worker.cause is not None:
                continue
            if not worker.jobs and not worker.slot.stays_taken:
                if not is_recalling:  # else it is for the job that comes back
                    worker.give_back()
            elif self._turns.is_waited_for(worker.slot.devices):
                self._make_way(worker)

        holds = any(worker.leases for worker in self._workers)
        if holds or not self._waiting or not (self.slots or self._turns.wanted):
            self._turns.leave_line()
        else:
            self._turns.stand_in_line(self.slots)
        for child in [each for each in self._leaving if each.poll() is not None]:
            self._leaving.remove(child)
            child.close()

    def _make_way(self, worker: LocalWorker) -> None:
        """Begin nothing more on a slot that is waited for or given up; end its worker in time.

        In time: where no job is left that has begun, or may have.
        """
        is_given_up = worker.leave_by is not None
        for queued in list(worker.jobs)[0 if is_given_up else 1 :]:
            if not queued.started and not queued.recalled:
                worker.recall(queued)
        if not worker.jobs and worker.cause is None:
            worker.child.signal(signal.SIGKILL)
            worker.child.wire.close()
            worker.give_back()
            self._leaving.append(worker.child)
            self._workers.remove(worker)
            if not is_given_up:
                self._turns.wanted.append(worker.slot)

    # --- jobs: to the workers and back ---

    def _feed(self) -> None:
        """Give waiting jobs to workers: as is planned, else the first to the first that is free."""
        if self._planned is not None:
            self._planned.feed(self._workers, self._waiting, self._turns)
        else:
            self._in_order.feed(self._workers, self._waiting)

    def _next_duties(self) -> list[float]:
        """Return in how many seconds something has to be done though nothing is heard."""
        now = time.monotonic()
        deadlines = [at for worker in self._workers if (at := worker.deadline()) is not None]
        deadlines += [self._look_at, self._memory.look_at, *self._turns.next_looks()]
        return [max(0.0, at - now) for at in deadlines]

    def _listen(self, timeout_s: float) -> None:
        """Wait for workers and forkserver, take in what they say, see to those that have ended."""
        ready = self._wait(timeout_s)
        self._forkserver.check()

        for worker in list(self._workers):
            child = worker.child
            # A signal that found the child gone has emptied its sentinel.
            has_news = child.exitcode is not None or child.sentinel in ready
            if not has_news and child.wire.fileno() not in ready:
                continue
            child.wire.flush()
            # Asked before reading: then what it said last is in the wire.
            ended = child.poll() is not None
            for message in child.wire.receive():
                self._take_in(worker, message)
            if ended:
                self._replace(worker)

        now = time.monotonic()
        for worker in self._workers:
            worker.enforce(now)
        if now >= self._look_at - _EARLY_S:
            self._look_at = now + _LOOK_S
            self._look_after_all()
        if now >= self._memory.look_at - _EARLY_S:
            self._mind_memory()

    def _mind_memory(self) -> None:
        """End the worker whose trial takes too much memory."""
        running = {
            worker.child.pid: worker
            for worker in self._workers
            if worker.running is not None and worker.child.pid is not None
        }
        allowances = {}
        for pid, worker in running.items():
            alone = worker.running is not None and worker.running.job.alone
            allowances[pid] = len(self._workers) if alone else 1
        freeing = any(worker.cause is not None for worker in running.values())
        excess = self._memory.look(allowances, freeing=freeing)
        if excess is None:
            return
        worker = running[excess.pid]
        if worker.running is not None:
            worker.end(Died(worker.running.job.id, "host_oom", excess.detail), signal.SIGKILL)

    def _look_after_all(self) -> None:
        """End what gives no sign of life, after all that it has said was taken in."""
        self._forkserver.look_after()
        if self._planned is not None:
            self._planned.end_late(self._workers)
        for worker in self._workers:
            worker.look_after()
            cap(worker.log, self._limits.log_bytes)

    def _wait(self, timeout_s: float) -> set[int]:
        """Wait for something to be read or written; return the descriptors that are ready."""
        return {fd for fd, _ in self._poller().poll(max(0.0, timeout_s) * 1000)}

    def _poller(self) -> select.poll:
        """Return what is listened to."""
        poller = select.poll()
        for worker in self._workers:
            wire = worker.child.wire
            if not wire.closed:
                # Written to only where something is left over, else it would always be ready.
                writing = select.POLLOUT if wire.pending else 0
                poller.register(wire.fileno(), select.POLLIN | writing)
            poller.register(worker.child.sentinel, select.POLLIN)

        if self._forkserver.fileno() >= 0:
            poller.register(self._forkserver.fileno(), select.POLLIN)
        return poller

    def _take_in(self, worker: LocalWorker, message: ToDriver) -> None:
        if isinstance(message, Hello):
            worker.greeted = True
            worker.reset_clock()
            return

        job = message.job
        queued = worker.find(job)
        if queued is None:  # cancelled while it began
            if isinstance(message, Begun):
                worker.end(Died(job, "cancelled", "cancelled"), signal.SIGKILL)
            return

        match message:
            case Begun():
                queued.started = True
                worker.reset_clock()
                if worker.leave_by is not None:  # it was on its way when the slot was given up
                    worker.stop_running()
                self._happened.append(Started(job, worker.slot.name, worker.child.pid or 0))
            case Epoch():
                worker.progress = time.monotonic()
                worker.awaiting = queued.job.wants_answer
                self._happened.append(Reported(job, message.report))
            case Dropped():
                worker.jobs.remove(queued)
                self._waiting.appendleft(queued)
            case Returned() | Failed():
                worker.jobs.remove(queued)
                worker.reset_clock()
                if worker.leave_by is not None and has_stopped(message):
                    self._happened.append(Died(job, "moved", "its slot was given up"))
                else:
                    self._happened.append(self._end_of(message))

    def _end_of(self, message: Returned | Failed) -> Finished | Raised:
        if isinstance(message, Failed):
            return Raised(message.job, message.error, message.traceback, message.exit_code)
        return finished(message.job, message.pickled_value)

    def _replace(self, worker: LocalWorker) -> None:
        """Report the end of a dead worker's job, queue what it had not begun, put a new one there.

        Raises:
            TuningError: One worker after the other ends on this slot before it serves.
        """
        running = worker.running
        if running is not None:
            worker.jobs.popleft()
            died = worker.death_of(running.job.id)
            by_others = died.cause in ("killed", "lost") and worker.cause is None
            if by_others and self._memory.was_out_of_memory():
                detail = f"worker {worker.child.pid} was ended by the kernel: out of memory"
                died = Died(died.job, "host_oom", detail)
            self._happened.append(died)
        self._waiting.extendleft(reversed(worker.jobs))

        if worker.leave_by is not None:
            worker.child.close()
            worker.give_back()
            self._workers.remove(worker)
            return

        false_starts = 0
        lost_starts = 0
        if not worker.greeted:
            # The end of a forkserver is no fault of the slot's, and has a limit of its own.
            false_starts = worker.false_starts + (not worker.child.server_gone)
            lost_starts = worker.lost_starts + worker.child.server_gone
        if false_starts >= _FALSE_STARTS or lost_starts > FORKSERVER.restarts:
            detail = worker.death_of("").detail
            raise TuningError(f"workers on {worker.slot.name} end before they begin: {detail}")

        # The leases stay ours from one worker to the next: nobody can take the slot between them.
        worker.child.close()
        self._memory.ended(worker.child.pid)  # told by the forkserver after it is reaped
        successor = self._forked(worker.slot, worker.leases)
        successor.false_starts = false_starts
        successor.lost_starts = lost_starts
        successor.turn_used = worker.turn_used
        self._workers[self._workers.index(worker)] = successor


def has_stopped(message: Returned | Failed) -> bool:
    """Whether a job ended because it was told to stop."""
    return isinstance(message, Failed) and message.error.startswith("Stopped:")


def finished(job: str, pickled_value: bytes) -> Finished | Raised:
    """Return the end of a job that has returned a value, as its worker has pickled it."""
    try:
        value = pickle.loads(pickled_value)  # noqa: S301 - from our own worker
    except Exception as error:  # its class cannot be imported here
        reason = f"the result cannot be unpickled: {type(error).__name__}: {error}"
        return Raised(job, reason, "")
    return Finished(job, value)
