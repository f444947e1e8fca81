"""What runs in a worker: set up the slot, then one job after another.

Two threads: the main one trains, the attendant reads what the driver says. The words between driver
and worker are in `messages`.
"""

from __future__ import annotations

import faulthandler
import math
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import psutil

from tuning.errors import MissingError, StorageError, TuningError
from tuning.executors.base import Job
from tuning.executors.devices.binding import bind_to, gpu_fault
from tuning.executors.devices.slot import Slot
from tuning.executors.messages import (
    Begun,
    Drop,
    Dropped,
    Epoch,
    Failed,
    Hello,
    Reply,
    Returned,
    ToWorker,
    Work,
)
from tuning.executors.supervision.logs import CappedLog
from tuning.executors.wire import Wire, wait_fd
from tuning.storage.full_disk import is_full_disk
from tuning.storage.secrets import without_secrets
from tuning.trial import Answer, EpochReport

_ROTATE_S = 0.1  # how often the log's length is looked at
_EPOCHS_S = 0.5
"""Epochs that nobody waits for are told together, so far apart: each word wakes the driver, which
costs it 0.3 ms, as much as all else that it does for an epoch.
"""


@dataclass(frozen=True)
class Limits:
    """When a worker is replaced, checked between jobs, and how much it may print.

    Attributes:
        jobs: Most jobs it runs.
        growth_mb: Most MiB by which it is larger than after its first job: TensorFlow keeps what
            XLA has compiled, 3-10 MiB each, and a user's builder may keep anything. Not a size: a
            large model is no reason to begin anew.
        log_bytes: Most bytes of its log.
        memory_bytes: Most bytes that its trial may use, while it runs; None: what there is.
    """

    jobs: int | None = None
    growth_mb: float | None = None
    log_bytes: int = 10_000_000
    memory_bytes: int | None = None

    def reached(self, jobs_done: int, growth_mb: float) -> bool:
        """Whether the worker shall be replaced."""
        if self.jobs is not None and jobs_done >= self.jobs:
            return True
        return self.growth_mb is not None and growth_mb > self.growth_mb


def main(wire: Wire, slot: Slot, log_path: Path, limits: Limits) -> int:
    """Serve jobs until the driver hangs up or a limit is reached."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    log = CappedLog(log_path, limits.log_bytes)
    faulthandler.enable()
    bind_to(slot)
    fault = gpu_fault(slot)

    inbox = _Inbox(wire, log)
    threading.Thread(target=inbox.attend, name="attendant", daemon=True).start()
    wire.send(Hello())

    jobs_done = 0
    first_mb = 0.0
    while True:
        job = inbox.take()
        log.begin(job.id)
        context = WorkerContext(job, slot.name, inbox)
        ended = _run(job, context, log_path.parent, fault)

        jobs_done += 1
        rss_mb = psutil.Process().memory_info().rss / 2**20
        if jobs_done == 1:
            first_mb = rss_mb
        wire.send(ended)
        if context.retiring or limits.reached(jobs_done, rss_mb - first_mb):
            return 0


class WorkerContext:
    """The `Context` that a job's function gets."""

    def __init__(self, job: Job, slot: str, inbox: _Inbox) -> None:
        self.slot = slot
        self.retiring = False
        self._job = job
        self._inbox = inbox
        self._told_at = -math.inf  # on the monotonic clock

    def report(self, report: EpochReport) -> Answer:
        """Pass an epoch to the driver; return its answer."""
        epoch = Epoch(self._job.id, report)
        now = time.monotonic()
        if not self._job.wants_answer and now < self._told_at + _EPOCHS_S:
            self._inbox.wire.hold(epoch)  # it leaves within a heartbeat's time
            return self._inbox.answer(wait=False)

        self._told_at = now
        try:
            self._inbox.wire.send(epoch)
        except BrokenPipeError:
            # The driver is gone, as `attend` is about to see. An error here would make the trial a
            # failed one.
            os._exit(0)
        return self._inbox.answer(wait=self._job.wants_answer)

    def retire(self) -> None:
        """Have this worker replaced after the job, e.g. when the GPU was out of memory."""
        self.retiring = True


class _Inbox:
    """What the driver has sent: jobs that wait, answers for the running one."""

    def __init__(self, wire: Wire, log: CappedLog) -> None:
        self.wire = wire
        self._log = log
        self._waiting: deque[Job] = deque()
        self._running = ""
        self._answers: deque[Answer] = deque()
        self._stopped = False
        self._news = threading.Condition()

    def take(self) -> Job:
        """Wait for the next job; from here on it counts as begun."""
        with self._news:
            self._news.wait_for(lambda: self._waiting)
            job = self._waiting.popleft()
            self._running = job.id
            self._stopped = False
            self._answers.clear()
            # Within the lock: a Drop that arrives now finds the job begun.
            self.wire.send(Begun(job.id))
            return job

    def answer(self, *, wait: bool) -> Answer:
        """Return the answer to the last report; without `wait` CONTINUE, unless a STOP has come."""
        with self._news:
            if wait:
                self._news.wait_for(lambda: self._answers or self._stopped)
            if self._stopped:
                return Answer.STOP
            if self._answers:
                return self._answers.popleft()
            return Answer.CONTINUE

    def attend(self) -> None:
        """Read what the driver says, whatever the job does; end the process with the driver."""
        while not self.wire.closed:
            # Before the first wait: the wire may have read ahead.
            for message in self.wire.receive():
                with self._news:
                    self._take_in(message)
                    self._news.notify_all()
            self._log.rotate()
            wait_fd(self.wire.fileno(), _ROTATE_S)
        os._exit(0)

    def _take_in(self, message: ToWorker) -> None:
        match message:
            case Work(job):
                self._waiting.append(job)
            case Drop(job_id):
                self._drop(job_id)
            # An answer to an earlier job comes too late.
            case Reply(job_id, answer) if job_id == self._running:
                self._stopped = self._stopped or answer == Answer.STOP
                self._answers.append(answer)

    def _drop(self, job_id: str) -> None:
        remaining = deque(job for job in self._waiting if job.id != job_id)
        if len(remaining) < len(self._waiting):
            self._waiting = remaining
            self.wire.send(Dropped(job_id))


def exit_code_of(error: BaseException, folder: Path | None = None) -> int | None:
    """Return the exit code of an error that ends the whole run; None where it ends the job alone.

    Args:
        error: What the job raised.
        folder: Where the search's files are; None: not known.
    """
    if isinstance(error, TuningError):
        return error.exit_code
    return StorageError.exit_code if is_full_disk(error, folder) else None


def _run(
    job: Job, context: WorkerContext, folder: Path, device_fault: str = ""
) -> Returned | Failed:
    try:
        if device_fault:
            raise MissingError(device_fault)
        value = job.call(context)
        return Returned(job.id, pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL))
    except BaseException as error:  # SystemExit too: it ends the job, not the worker
        return Failed(
            job.id,
            error=without_secrets(f"{type(error).__name__}: {error}"),
            traceback=without_secrets(traceback.format_exc()),
            exit_code=exit_code_of(error, folder),
        )
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
