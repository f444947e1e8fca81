"""`Pool`: workers that a process keeps between its joblib calls, served by a thread of their own."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from tuning.errors import TuningError
from tuning.executors.base import Died, Event, Finished, Job, Raised
from tuning.executors.devices import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.leases import Leases, somebody_waits
from tuning.executors.local import LocalExecutor
from tuning.storage.scratch import scratch_folder

Ended: TypeAlias = Finished | Raised | Died
Order: TypeAlias = Callable[[LocalExecutor], None]

IDLE_S = 30.0  # then the slots are given back, at once where somebody waits; new workers cost 0.1 s
_GLANCE_S = 0.5  # between looks whether somebody waits
_LOOK_S = 0.05  # how long a new job may wait while others run


class Pool:
    """Runs jobs on the slots of `devices` and tells each one's end; leases them only while there is
    work.

    Args:
        devices: As for `--devices`.
        forkserver: One that runs already; it is left running.
    """

    def __init__(self, devices: str, forkserver: ForkServer | None = None) -> None:
        self._devices = devices
        self._lent = forkserver is not None
        self._forkserver = forkserver or ForkServer()
        self._folder = scratch_folder("tuning-pool-")
        self._inbox: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._open: dict[str, Callable[[Ended], None]] = {}
        self._resting = self._closing = False
        self._thread = threading.Thread(target=self._live, name="tuning pool", daemon=True)

    @property
    def spool(self) -> Path:
        """Where arrays for the workers are kept."""
        return Path(self._folder.name)

    def start(self) -> None:
        """Begin to import TensorFlow for the workers; returns at once."""
        self._forkserver.start()
        if not self._thread.ident:
            self._thread.start()

    def submit(self, job: Job, settle: Callable[[Ended], None]) -> None:
        """Queue a job; `settle` is called in the pool's thread when it has ended."""
        self.start()
        self._open[job.id] = (
            settle  # from here on it can be cancelled, or lost, and somebody is told
        )
        self._resting = False
        self._inbox.put(lambda executor: executor.submit(job) if job.id in self._open else None)

    def cancel(self, job: str) -> None:
        """Stop a job; it ends in Died("cancelled")."""
        if self._open:
            self._inbox.put(lambda executor: executor.cancel(job) if job in self._open else None)

    def rest(self) -> None:
        """Give the slots back as soon as nothing runs."""
        self._resting = True
        self._inbox.put(_nothing)

    def close(self) -> None:
        """End workers, forkserver and thread; jobs that run end in Died."""
        self._closing = True
        self._inbox.put(None)
        if self._thread.ident and self._thread is not threading.current_thread():
            self._thread.join(10.0)
        if not self._lent:
            self._forkserver.close()
        self._folder.cleanup()

    def _live(self) -> None:
        while not self._closing and (order := self._inbox.get()) is not None:
            if order is _nothing:
                continue
            try:
                with ExitStack() as stack:
                    leases = Leases()
                    stack.callback(leases.close)
                    self._serve(self._opened(stack, leases), leases, order)
            except Exception as error:  # whatever it is, nobody shall wait for ever
                self._lose(str(error) if isinstance(error, TuningError) else repr(error))
        self._lose("the pool was closed")

    def _opened(self, stack: ExitStack, leases: Leases) -> LocalExecutor:
        logs = self.spool / "logs"
        logs.mkdir(exist_ok=True)
        return stack.enter_context(
            LocalExecutor(
                parse_devices(self._devices),
                forkserver=self._forkserver,
                leases=leases,
                log_folder=logs,
                label="joblib",
                notice=lambda text: print(text, file=sys.stderr),
            )
        )

    def _serve(self, executor: LocalExecutor, leases: Leases, order: Order) -> None:
        """Run jobs until there were none for a while."""
        order(executor)
        idle_since = time.monotonic()
        while not self._closing:
            try:
                following = (
                    self._inbox.get_nowait() if self._open else self._inbox.get(timeout=_GLANCE_S)
                )
                if following is not None:
                    following(executor)
            except queue.Empty:
                pass
            if self._open:
                idle_since = time.monotonic()
                self._settle(executor.events(_LOOK_S if self._inbox.empty() else 0.0))
            elif (
                self._resting
                or time.monotonic() - idle_since > IDLE_S
                or _wanted_elsewhere(executor, leases)
            ):
                return

    def _settle(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Finished | Raised | Died):
                self._open.pop(event.job)(event)

    def _lose(self, why: str) -> None:
        for job in list(self._open):
            self._open.pop(job)(Died(job, "cancelled", why))


def _wanted_elsewhere(executor: LocalExecutor, leases: Leases) -> bool:
    return somebody_waits(
        leases, [name for slot in executor.slots for name in slot.name.split("+")]
    )


def _nothing(executor: LocalExecutor) -> None:
    """Wake the thread."""
