"""The driver's side of one worker: what it holds, which jobs it has, when it has to be ended."""

from __future__ import annotations

import signal
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from tuning.executors.base import Cause, Died, Job
from tuning.executors.child import Child
from tuning.executors.devices.leases import Lease, file_name, release
from tuning.executors.devices.slot import Slot
from tuning.executors.forkserver import ForkServer
from tuning.executors.messages import Drop, Reply, ToWorker, Work
from tuning.executors.supervision.logs import last_lines
from tuning.executors.supervision.parts import WORKER
from tuning.executors.supervision.silence import Silence
from tuning.executors.worker import Limits
from tuning.trial import Answer

_GRACE_S = 2.0  # between TERM and KILL
LEAVE_S = 30.0
"""How long an epoch may take that is the last one on a slot; then its trial goes back to its last
checkpoint.
"""

_LATE_TO_LEAVE = "no epoch ended within {} of the slot being given up"
_LATE = "stopped after {}, the trial's limit"
_IDLE = "stopped after {} without a finished epoch"

_HUNG_UP_S = 5.0  # a worker that has closed its wire ends within milliseconds


@dataclass
class QueuedJob:
    """A job that was submitted and has not ended, packed for its travel."""

    job: Job
    started: bool = False
    recalled: bool = False


class TimeLimit(NamedTuple):
    """When a job has run out of time, on the monotonic clock, and how it then ends."""

    at: float
    cause: Cause
    detail: str
    """With `{}` for the seconds that were allowed."""
    seconds: float


@dataclass(kw_only=True)
class LocalWorker:
    """One slot's process, its leases and its jobs.

    The first of the jobs runs or is about to, a second may wait.

    Attributes:
        leases: Empty while the slot is given back to whoever needs it.
        turn_used: Whether a job was given since the leases were taken.
        jobs: In the order in which the worker has them.
        greeted: Whether it has begun to serve.
        false_starts: How many before it on this slot ended without.
        lost_starts: How many did because the forkserver had ended.
        cause: Why we are ending it; None: we are not.
        kill_at, began, progress: On the monotonic clock; what `_limits` counts from.
        awaiting: Whether the job waits for our answer, which is no lack of progress.
        silence: Watches its heartbeat.
        leave_by: When its slot is given up whatever its job does, unless the job may stay longer,
            on the monotonic clock; None: it stays.
        hung_up_at: When it closed its wire, on the monotonic clock; None: it has not.
    """

    slot: Slot
    leases: tuple[Lease, ...]
    child: Child
    log: Path
    turn_used: bool = False
    jobs: deque[QueuedJob] = field(default_factory=deque)
    greeted: bool = False
    false_starts: int = 0
    lost_starts: int = 0
    cause: Died | None = None
    kill_at: float = 0.0
    began: float = 0.0
    progress: float = 0.0
    awaiting: bool = False
    silence: Silence = field(default_factory=lambda: Silence(WORKER.silence_s))
    leave_by: float | None = None
    hung_up_at: float | None = None

    @classmethod
    def begin(
        cls,
        forkserver: ForkServer,
        slot: Slot,
        leases: tuple[Lease, ...],
        folder: Path,
        limits: Limits,
    ) -> Self:
        """Fork the worker; does not wait for it."""
        log = folder / f"{file_name(slot.name)}.log"
        # A GPU's memory is the worker's: it stays taken until both processes have gone.
        fds = [lease.fd for lease in leases] if slot.stays_taken else []
        child = forkserver.spawn("tuning.executors.worker:main", (slot, log, limits), fds=fds)
        return cls(slot=slot, leases=leases, child=child, log=log)

    @property
    def running(self) -> QueuedJob | None:
        """The job that has begun."""
        if self.jobs and self.jobs[0].started:
            return self.jobs[0]
        return None

    @property
    def takes_jobs(self) -> bool:
        """Whether it may be given any: neither it nor its slot is about to go."""
        return self.cause is None and self.leave_by is None

    def give_back(self) -> None:
        """Let others have the slot; the worker stays warm."""
        leases = self.leases
        self.leases = ()
        release(leases)

    def find(self, job_id: str) -> QueuedJob | None:
        """Return the job of this id, or None where the worker has it no more."""
        for queued in self.jobs:
            if queued.job.id == job_id:
                return queued
        return None

    def give(self, queued: QueuedJob) -> None:
        """Send a job."""
        queued.started = False
        queued.recalled = False
        self.jobs.append(queued)
        self.turn_used = True
        self._post(Work(queued.job))
        if len(self.jobs) == 1:
            self.reset_clock()

    def recall(self, queued: QueuedJob) -> None:
        """Ask for a waiting job back."""
        queued.recalled = True
        self._post(Drop(queued.job.id))

    def disown(self, queued: QueuedJob) -> None:
        """Drop a waiting job; should it have begun meanwhile, the worker is ended."""
        self.jobs.remove(queued)
        self._post(Drop(queued.job.id))

    def leave(self) -> None:
        """Begin to give up the slot: the running job stops at its next report."""
        if self.leave_by is None:
            self.leave_by = time.monotonic() + LEAVE_S
            self.stop_running()

    def stop_running(self) -> None:
        """Have the running job stop at its next report, whether or not it waits for an answer.

        Not one that leaves at its end.
        """
        if self.running is not None and self.running.job.leaves != "end":
            self.answer(Answer.STOP)

    def answer(self, answer: Answer) -> None:
        """Answer the running job's last report."""
        running = self.running
        if running is not None:
            self.awaiting = False
            self.progress = time.monotonic()
            self._post(Reply(running.job.id, answer))

    def reset_clock(self) -> None:
        """Begin to count the first job's time."""
        self.began = self.progress = time.monotonic()
        self.awaiting = False

    def deadline(self) -> float | None:
        """Return when something has to be done about this worker, on the monotonic clock."""
        if self.cause is not None:
            return self.kill_at
        return min((limit.at for limit in self._limits()), default=None)

    def enforce(self, now: float) -> None:
        """End the worker where its job has run out of time: TERM, then KILL."""
        if self.cause is not None:
            if now >= self.kill_at:
                self.child.signal(signal.SIGKILL)
                self.kill_at = now + _GRACE_S
            return

        for limit in self._limits():
            if now >= limit.at:
                detail = limit.detail.format(f"{limit.seconds:g} s")
                self.end(Died(self.jobs[0].job.id, limit.cause, detail), signal.SIGTERM)
                return

    def look_after(self) -> None:
        """End the worker where it is stopped or blocked, whatever the limits of its job are."""
        pid = self.child.pid
        if self.cause is not None or pid is None:
            return

        if self.child.wire.closed:  # its end shows at its sentinel, unless it lives on, deaf
            now = time.monotonic()
            if self.hung_up_at is None:
                self.hung_up_at = now
            elif now - self.hung_up_at > _HUNG_UP_S:
                self.child.signal(signal.SIGKILL)

        elif self.silence.exceeded(self.child.wire.n_heard, pid):
            job_id = "" if self.running is None else self.running.job.id
            detail = (
                f"worker {pid} gave no sign of life for {self.silence.seconds:.0f} s (stopped, or "
                "blocked in a library) and was ended"
            )
            self.end(Died(job_id, "killed", detail), signal.SIGKILL)

    def end(self, cause: Died, number: int) -> None:
        """End the worker with a signal; its job then ends in `cause`."""
        self.cause = cause
        self.kill_at = time.monotonic() + _GRACE_S
        self.child.signal(number)

    def death_of(self, job_id: str) -> Died:
        """Return how the worker ended, for the job it was running."""
        if self.cause is not None:
            if self.cause.job == job_id:
                return self.cause
            return Died(job_id, "killed", "its worker was ended because of the job before")

        if self.child.server_gone:
            return Died(job_id, "lost", "the forkserver ended, and its workers with it")

        pid = self.child.pid
        exit_code = self.child.exitcode or 0
        if exit_code == -signal.SIGKILL:
            detail = f"worker {pid} was killed by SIGKILL; maybe out of memory"
            return Died(job_id, "killed", detail)

        if exit_code < 0:
            detail = f"worker {pid} ended by {signal.Signals(-exit_code).name}"
        else:
            detail = f"worker {pid} ended with exit code {exit_code}"
        lines = last_lines(self.log)
        if lines:
            detail += f"; its last lines:\n{lines}"
        return Died(job_id, "crashed", detail)

    def _post(self, message: ToWorker) -> None:
        self.child.wire.post(message)

    def _limits(self) -> list[TimeLimit]:
        """Return the limits of the first job."""
        # Before the fork a worker's time does not count.
        if not self.jobs or self.child.pid is None:
            return []

        job = self.jobs[0].job
        limits = []
        if self.leave_by is not None and job.leaves == "soon":
            limits.append(TimeLimit(self.leave_by, "moved", _LATE_TO_LEAVE, LEAVE_S))
        if job.timeout_s is not None:
            at = self.began + job.timeout_s
            limits.append(TimeLimit(at, "timeout", _LATE, job.timeout_s))
        if job.no_progress_timeout_s is not None and not self.awaiting:
            at = self.progress + job.no_progress_timeout_s
            limits.append(TimeLimit(at, "no_progress", _IDLE, job.no_progress_timeout_s))
        return limits
