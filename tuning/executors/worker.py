"""What runs in a worker: set up the slot, then one job after another."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tuning.errors import TuningError
from tuning.executors.base import Slot
from tuning.executors.logs import CappedLog
from tuning.executors.server import resolve
from tuning.executors.wire import Wire, wait_fd
from tuning.trial import EpochReport

_LOOK_S = 0.1  # how often the log's length is looked at


@dataclass(frozen=True)
class Order:
    """A job as it travels: the arguments stay pickled until it begins, so that a bad one fails the
    job only.
    """

    id: str
    function: str
    args: bytes
    wants_answer: bool


@dataclass(frozen=True)
class Limits:
    """When a worker is replaced, looked at between jobs, and how much it may print.

    Attributes:
        jobs: Most jobs it runs.
        growth_mb: Most MiB by which it is larger than after its first job: TensorFlow keeps what
            XLA has compiled, 3-10 MiB each, and a user's builder may keep anything. Not a size: a
            large model is no reason to begin anew.
    """

    jobs: int | None = None
    growth_mb: float | None = None
    log_bytes: int = 10_000_000


def main(wire: Wire, slot: Slot, log_path: Path, limits: Limits) -> int:
    """Serve jobs until the driver hangs up or a limit is reached."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    log = CappedLog(log_path, limits.log_bytes)
    faulthandler.enable()
    _prepare(slot)
    inbox = _Inbox(wire, log)
    threading.Thread(target=inbox.attend, name="attendant", daemon=True).start()
    wire.send(("hello",))
    done, first_mb = 0, 0.0
    while True:
        order = inbox.take()
        log.begin(order.id)
        context = WorkerContext(order, slot.name, inbox)
        ended = _run(order, context)
        done += 1
        rss_mb = psutil.Process().memory_info().rss / 2**20
        first_mb = first_mb or rss_mb
        leaving = context.retiring or _over(limits, done, rss_mb - first_mb)
        wire.send((*ended, leaving))
        if leaving:
            return 0


class WorkerContext:
    """The `Context` a job is given."""

    def __init__(self, order: Order, slot: str, inbox: _Inbox) -> None:
        self.slot = slot
        self.retiring = False
        self._order = order
        self._inbox = inbox

    def report(self, report: EpochReport) -> str:
        """Pass an epoch to the driver; return "continue", "prune" or "stop"."""
        try:
            self._inbox.wire.send(("report", self._order.id, report))
        except BrokenPipeError:
            os._exit(
                0
                # the driver is gone, as `attend` is about to see; an error would make the trial a
                # failed one
            )
        return self._inbox.verdict(wait=self._order.wants_answer)

    def retire(self) -> None:
        """Have this worker replaced after the job, e.g. when the GPU was out of memory."""
        self.retiring = True


class _Inbox:
    """What the driver has said: jobs that wait, the verdict on the running one."""

    def __init__(self, wire: Wire, log: CappedLog) -> None:
        self.wire = wire
        self._log = log
        self._orders: deque[Order] = deque()
        self._running = ""
        self._verdicts: deque[str] = deque()
        self._stopped = False
        self._news = threading.Condition()

    def take(self) -> Order:
        """Wait for the next job; from here on it counts as begun."""
        with self._news:
            self._news.wait_for(lambda: self._orders)
            order = self._orders.popleft()
            self._running, self._stopped = order.id, False
            self._verdicts.clear()
            self.wire.send(("started", order.id))
            return order

    def verdict(self, *, wait: bool) -> str:
        """Return the answer to the last report; without `wait` "stop" if it was said, else
        "continue".
        """
        with self._news:
            if wait:
                self._news.wait_for(lambda: self._verdicts or self._stopped)
            if self._stopped:
                return "stop"
            return self._verdicts.popleft() if self._verdicts else "continue"

    def attend(self) -> None:
        """Read what the driver says, whatever the job does; end the process when the driver is
        gone.
        """
        while not self.wire.closed:
            for message in self.wire.receive():  # first of all: the wire may have read ahead
                with self._news:
                    self._hear(*message)
                    self._news.notify_all()
            self._log.rotate()
            wait_fd(self.wire.fileno(), _LOOK_S)
        os._exit(0)

    def _hear(self, kind: str, content: Any, verdict: str = "") -> None:
        if kind == "job":
            self._orders.append(content)
        elif kind == "drop":
            kept = deque(order for order in self._orders if order.id != content)
            if len(kept) < len(self._orders):
                self._orders = kept
                self.wire.send(("dropped", content))
        elif content == self._running:  # an answer; one to an earlier job comes too late
            self._stopped = self._stopped or verdict == "stop"
            self._verdicts.append(verdict)


def _run(order: Order, context: WorkerContext) -> tuple[Any, ...]:
    try:
        value = resolve(order.function)(*pickle.loads(order.args), context)  # noqa: S301 - from our own driver
        return "finished", order.id, pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except (
        BaseException
    ) as error:  # SystemExit too: whatever a job raises ends the job, not the worker
        exit_code = error.exit_code if isinstance(error, TuningError) else None
        return (
            "raised",
            order.id,
            f"{type(error).__name__}: {error}",
            traceback.format_exc(),
            exit_code,
        )
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _over(limits: Limits, done: int, growth_mb: float) -> bool:
    many, large = limits.jobs, limits.growth_mb
    return (many is not None and done >= many) or (large is not None and growth_mb > large)


def _prepare(slot: Slot) -> None:
    """Bind this process to its slot before TensorFlow touches a device."""
    os.environ.update(slot.environment)
    if slot.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, slot.cores)
    if slot.threads:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ[name] = str(slot.threads)
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and slot.threads:
        tensorflow.config.threading.set_intra_op_parallelism_threads(slot.threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(slot.threads)
