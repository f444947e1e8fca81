"""The driver's side of one worker: what it holds, what it was given, when it has to be ended."""

from __future__ import annotations

import pickle
import signal
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from tuning.executors.base import Died, Job, Slot
from tuning.executors.child import Child
from tuning.executors.forkserver import ForkServer
from tuning.executors.leases import Lease, file_name
from tuning.executors.logs import last_lines
from tuning.executors.worker import Limits, Order

_GRACE_S = 2.0  # between TERM and KILL


@dataclass
class Entry:
    """A job that was submitted and has not ended."""

    job: Job
    args: bytes
    started: bool = False
    recalled: bool = False

    @classmethod
    def of(cls, job: Job) -> Entry:
        """Pickle the arguments now, so that a bad one fails where it was given."""
        return cls(job, pickle.dumps(job.args, protocol=pickle.HIGHEST_PROTOCOL))


@dataclass
class LocalWorker:
    """One slot's process, its leases and its jobs: the first runs or is about to, a second may
    wait.
    """

    slot: Slot
    leases: tuple[Lease, ...]
    child: Child
    log: Path
    entries: deque[Entry] = field(default_factory=deque)
    disowned: set[str] = field(default_factory=set)
    hello: bool = False
    """Whether it has begun to serve."""
    false_starts: int = 0
    """How many before it on this slot ended without."""
    cause: Died | None = None
    """Why we are ending it; None: we are not."""
    kill_at: float = 0.0
    began: float = 0.0
    progress: float = 0.0
    awaiting: bool = False
    """Whether the job waits for our verdict, which is no lack of progress."""

    @classmethod
    def begin(
        cls,
        forkserver: ForkServer,
        slot: Slot,
        leases: tuple[Lease, ...],
        folder: Path,
        limits: Limits,
    ) -> LocalWorker:
        """Fork the worker; does not wait for it."""
        log = folder / f"{file_name(slot.name)}.log"
        child = forkserver.spawn(
            "tuning.executors.worker:main", (slot, log, limits), fds=[lease.fd for lease in leases]
        )
        return cls(slot, leases, child, log)

    @property
    def running(self) -> Entry | None:
        """The job that has begun."""
        return self.entries[0] if self.entries and self.entries[0].started else None

    def give(self, entry: Entry) -> None:
        """Queue a job."""
        job = entry.job
        entry.started = entry.recalled = False
        self.entries.append(entry)
        self.child.wire.post(("job", Order(job.id, job.function, entry.args, job.wants_answer)))
        if len(self.entries) == 1:
            self.reset_clock()

    def recall(self, entry: Entry) -> None:
        """Ask for a waiting job back."""
        entry.recalled = True
        self.child.wire.post(("drop", entry.job.id))

    def disown(self, entry: Entry) -> None:
        """Drop a waiting job; should it have begun meanwhile, the worker is ended."""
        self.entries.remove(entry)
        self.disowned.add(entry.job.id)
        self.child.wire.post(("drop", entry.job.id))

    def reset_clock(self) -> None:
        """Begin to count the first job's time."""
        self.began = self.progress = time.monotonic()
        self.awaiting = False

    def deadline(self) -> float | None:
        """Return when something has to be done about this worker, on the monotonic clock."""
        if self.cause is not None:
            return self.kill_at
        limits = [at for at, _ in self._limits()]
        return min(limits, default=None)

    def enforce(self, now: float) -> None:
        """End the worker where its job has run out of time: TERM, then KILL."""
        if self.cause is not None:
            if now >= self.kill_at:
                self.child.signal(signal.SIGKILL)
                self.kill_at = now + _GRACE_S
            return
        due = next((died for at, died in self._limits() if now >= at), None)
        if due is not None:
            self.end(due, signal.SIGTERM)

    def end(self, cause: Died, number: int) -> None:
        """End the worker with a signal; its job then ends in `cause`."""
        self.cause = cause
        self.kill_at = time.monotonic() + _GRACE_S
        self.child.signal(number)

    def death_of(self, job: str) -> Died:
        """Return how the worker ended, for the job it was running."""
        if self.cause is not None:
            other = "its worker was ended because of the job before"
            return self.cause if self.cause.job == job else Died(job, "killed", other)
        code = self.child.exitcode or 0
        if code == -signal.SIGKILL:
            return Died(
                job, "killed", f"worker {self.child.pid} was killed by SIGKILL; maybe out of memory"
            )
        how = (
            f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        )
        lines = last_lines(self.log)
        return Died(
            job,
            "crashed",
            f"worker {self.child.pid} {how}" + (f"; its last lines:\n{lines}" if lines else ""),
        )

    def _limits(self) -> list[tuple[float, Died]]:
        if not self.entries or self.child.pid is None:
            return []
        job = self.entries[0].job
        limits = []
        if job.timeout_s is not None:
            detail = f"stopped after {job.timeout_s:g} s, the trial's limit"
            limits.append((self.began + job.timeout_s, Died(job.id, "timeout", detail)))
        if job.no_progress_timeout_s is not None and not self.awaiting:
            detail = f"stopped after {job.no_progress_timeout_s:g} s without a finished epoch"
            limits.append(
                (self.progress + job.no_progress_timeout_s, Died(job.id, "no_progress", detail))
            )
        return limits
