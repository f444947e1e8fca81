"""`Pool`: workers that a process keeps between its joblib calls, served by a thread."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

from tuning.errors import TuningError
from tuning.executors.base import Died, Event, Executor, Finished, Job, Raised
from tuning.executors.executor_spec import LOCAL, ExecutorChoice, open_executor
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import LocalExecutor
from tuning.storage.scratch import scratch_folder

Ended: TypeAlias = Finished | Raised | Died
Request: TypeAlias = Callable[[Executor], None]
"""What another thread asks the pool's thread to do with its executor."""

# Then the slots are given back, at once where somebody waits for one; new workers cost 0.1 s.
IDLE_S = 30.0
_GLANCE_S = 0.5  # between looks whether somebody waits
_LISTEN_S = 0.05  # how long a new job may wait while others run


class Pool:
    """Runs jobs on the slots of `devices`, which it leases only while there is work.

    The executor belongs to the pool's thread. Callers send it requests through a queue, and are
    called back when their job has ended.

    A job whose worker is lost is run once more.

    Args:
        devices: As for `--devices`.
        forkserver: One that runs already; it is left running.
        executor: Whose slots these are.
    """

    def __init__(
        self,
        devices: str,
        forkserver: ForkServer | None = None,
        executor: ExecutorChoice = LOCAL,
    ) -> None:
        self._devices = devices
        self._choice = executor
        self._owns_forkserver = forkserver is None
        self._forkserver = forkserver or ForkServer()
        self._folder = scratch_folder("tuning-pool-")
        self._inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._open: dict[str, Callable[[Ended], None]] = {}
        self._jobs: dict[str, Job] = {}  # those open whose worker may still be lost once
        self._resting = False
        self._closing = False
        self._thread = threading.Thread(target=self._live, name="tuning pool", daemon=True)

    @property
    def spool(self) -> Path:
        """Where arrays for the workers are kept."""
        return Path(self._folder.name)

    def start(self) -> None:
        """Begin to import TensorFlow for the workers; returns at once."""
        if self._choice == LOCAL:  # else it is imported where they are
            self._forkserver.start()
        if not self._thread.ident:
            self._thread.start()

    def submit(self, job: Job, on_end: Callable[[Ended], None]) -> None:
        """Queue a job; `on_end` is called in the pool's thread when it has ended."""

        def start(executor: Executor) -> None:
            if job.id in self._open:
                executor.submit(job)

        self.start()
        # From here on it can be cancelled, or lost, and `on_end` hears of it.
        self._open[job.id] = on_end
        self._jobs[job.id] = job
        self._resting = False
        self._inbox.put(start)

    def cancel(self, job: str) -> None:
        """Stop a job; it ends in Died("cancelled")."""

        def stop(executor: Executor) -> None:
            if job in self._open:
                executor.cancel(job)

        if self._open:
            self._inbox.put(stop)

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
        if self._owns_forkserver:
            self._forkserver.close()
        self._folder.cleanup()

    # --- the pool's thread ---

    def _live(self) -> None:
        """Open an executor for each stretch of work, until the pool is closed."""
        while not self._closing:
            request = self._inbox.get()
            if request is None:
                break
            if request is _nothing:
                continue
            try:
                with self._executor() as executor:
                    self._serve(executor, request)
            except Exception as error:  # whatever it is, nobody shall wait for ever
                self._lose(str(error) if isinstance(error, TuningError) else repr(error))
        self._lose("the pool was closed")

    def _executor(self) -> AbstractContextManager[Executor]:
        logs = self.spool / "logs"
        logs.mkdir(exist_ok=True)
        return open_executor(
            self._choice,
            self._devices,
            forkserver=self._forkserver,
            log_folder=logs,
            label="joblib",
            notice=lambda text: print(text, file=sys.stderr),
        )

    def _serve(self, executor: Executor, request: Request) -> None:
        """Run jobs until there were none for a while."""
        request(executor)
        idle_since = time.monotonic()
        while not self._closing:
            following = self._next_request()
            if following is not None:
                following(executor)

            if self._open:
                idle_since = time.monotonic()
                wait_s = _LISTEN_S if self._inbox.empty() else 0.0
                self._settle(executor, executor.events(wait_s))
                continue
            idle_s = time.monotonic() - idle_since
            is_wanted = isinstance(executor, LocalExecutor) and executor.wanted_elsewhere
            if self._resting or idle_s > IDLE_S or is_wanted:
                return

    def _next_request(self) -> Request | None:
        """Return the next request; while nothing runs it is waited for, but not for long."""
        try:
            if self._open:
                return self._inbox.get_nowait()
            return self._inbox.get(timeout=_GLANCE_S)
        except queue.Empty:
            return None

    def _settle(self, executor: Executor, events: list[Event]) -> None:
        for event in events:
            if not isinstance(event, Finished | Raised | Died):
                continue
            job = self._jobs.pop(event.job, None)
            # It may not be the job's fault: the memory of the machine, a fault of a device.
            if job is not None and isinstance(event, Died) and event.cause != "cancelled":
                executor.submit(job)
                continue
            on_end = self._open.pop(event.job)
            on_end(event)

    def _lose(self, why: str) -> None:
        for job in list(self._open):
            on_end = self._open.pop(job)
            self._jobs.pop(job, None)
            on_end(Died(job, "cancelled", why))


def _nothing(executor: Executor) -> None:
    """Wake the thread."""
