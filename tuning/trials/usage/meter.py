"""`Meter`: what one attempt uses, looked at every few seconds beside the training."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tuning.errors import StorageError
from tuning.ledger.usage import AttemptUsage, Usage, devices_of, gpus_of, keep_usage
from tuning.trial import Metrics
from tuning.trials.usage.gpus import gpu_figures

INTERVAL_S = 5.0
"""Seconds between two looks: what is lost at most of the figures of a worker that is killed."""
MOST_SAMPLES = 40
"""Most samples of an attempt; where there are more, every second one is dropped."""

Look = Callable[[Sequence[str]], Metrics]


class Stopwatch:
    """Counts what this process uses from now on, on one slot.

    Args:
        slot: The name of the slot that it runs on.
    """

    def __init__(self, slot: str) -> None:
        self._gpus = gpus_of(slot)
        self._began = time.perf_counter()
        self._cpu_s = _cpu_seconds()

    @property
    def seconds(self) -> float:
        """Wall time since it began."""
        return time.perf_counter() - self._began

    @property
    def usage(self) -> Usage:
        """What was used since then."""
        return Usage(cpu_s=_cpu_seconds() - self._cpu_s, gpu_s=self.seconds * self._gpus)


class Meter:
    """Measures an attempt at a trial, from the beginning to the end of a `with` block.

    A thread looks every `interval_s` seconds at the process and at its own GPUs, and keeps what was
    used in the attempt's folder. An attempt that is over sooner leaves a file only where an error
    ends it: else its result says it all. Nothing that goes wrong here ends a trial.

    Args:
        folder: Of the trial.
        attempt: Its rank, from 1.
        slot: The name of the slot that it runs on.
        digest: Of the ask that it is an attempt at.
        look: Returns what the driver of some GPUs tells.
        interval_s: Seconds between two looks.
    """

    def __init__(
        self,
        folder: Path,
        attempt: int,
        slot: str,
        *,
        digest: str = "",
        look: Look = gpu_figures,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._folder = folder
        self._attempt = attempt
        self._devices = devices_of(slot)
        self._digest = digest
        self._look = look
        self._interval_s = interval_s

        self._stopwatch = Stopwatch(slot)
        self._samples = _Samples()
        self._process = psutil.Process()
        self._cpu_before = 0.0
        self._seconds_before = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="meter", daemon=True)

    @property
    def usage(self) -> Usage:
        """What the attempt has used so far."""
        return self._stopwatch.usage

    @property
    def samples(self) -> tuple[Metrics, ...]:
        """What was seen at each look, `at` (Unix seconds) among it; the last look is now."""
        self._stop()
        return (*self._samples.kept, self._sample())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stop()
        if error is not None:
            self._keep()

    def _stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._interval_s):
            self._samples.add(self._sample())
            self._keep()

    def _sample(self) -> Metrics:
        """Look once; the processor's share is that since the look before."""
        cpu_s = self._stopwatch.usage.cpu_s
        seconds = self._stopwatch.seconds
        share = (cpu_s - self._cpu_before) / max(seconds - self._seconds_before, 1e-6)
        self._cpu_before = cpu_s
        self._seconds_before = seconds
        return {
            "at": time.time(),
            "process_cpu_percentage": 100 * share,
            "process_memory_megabytes": self._process.memory_info().rss / 1e6,
            **self._look(self._devices),
        }

    def _keep(self) -> None:
        """Write the figures; where that cannot be done, training says so sooner than they do."""
        usage = self.usage
        with suppress(StorageError, OSError):
            keep_usage(
                self._folder,
                AttemptUsage(
                    attempt=self._attempt,
                    seconds=self._stopwatch.seconds,
                    cpu_s=usage.cpu_s,
                    gpu_s=usage.gpu_s,
                    proposal_digest=self._digest,
                ),
            )


class _Samples:
    """Samples over the whole of an attempt, however long it takes, in bounded memory.

    Attributes:
        kept: In their order.
    """

    def __init__(self) -> None:
        self.kept: list[Metrics] = []
        self._every = 1
        self._seen = 0

    def add(self, sample: Metrics) -> None:
        """Take a sample, or pass over it where there are many."""
        if self._seen % self._every == 0:
            self.kept.append(sample)
        self._seen += 1
        if len(self.kept) >= MOST_SAMPLES:
            del self.kept[1::2]
            self._every *= 2


def _cpu_seconds() -> float:
    """Return the processor time of this process and of the children it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
