"""`LazyExecutor` takes its devices with the first job.

So a search with nothing left to train waits for none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tuning.executors.base import Event, Executor, Job
from tuning.executors.devices.slot import Slot
from tuning.trial import Answer


class LazyExecutor:
    """Makes the real one when it is needed, and is it from then on.

    Args:
        make: Returns the real one; may wait for a device.
    """

    def __init__(self, make: Callable[[], Executor]) -> None:
        self._make = make
        self._executor: Executor | None = None
        self._resized: Sequence[Slot] | None = None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots held now; takes them."""
        return self._real().slots

    @property
    def held(self) -> tuple[Slot, ...]:
        """The slots held now; none before the first job, and takes none."""
        return () if self._executor is None else self._executor.slots

    @property
    def leaving(self) -> tuple[Slot, ...]:
        """The slots that are being given up: what runs there has not ended yet."""
        return () if self._executor is None else self._executor.leaving

    @property
    def room(self) -> int:
        """How many more jobs may be submitted; takes the slots."""
        return self._real().room

    def submit(self, job: Job) -> None:
        """Queue a job; takes the slots."""
        self._real().submit(job)

    def events(self, timeout_s: float) -> list[Event]:
        """Return what has happened: nothing, at once, before the first job."""
        if self._executor is None:
            return []
        return self._executor.events(timeout_s)

    def answer(self, job: str, answer: Answer) -> None:
        """Answer the last report of a job."""
        if self._executor is not None:
            self._executor.answer(job, answer)

    def cancel(self, job: str) -> None:
        """Stop a job at once."""
        if self._executor is not None:
            self._executor.cancel(job)

    def resize(self, slots: Sequence[Slot]) -> None:
        """Work on these slots from now on, or from the first job on."""
        self._resized = slots
        if self._executor is not None:
            self._executor.resize(slots)

    def close(self) -> None:
        """Give the slots back; may be called twice."""
        if self._executor is not None:
            self._executor.close()

    def _real(self) -> Executor:
        if self._executor is None:
            self._executor = self._make()
            if self._resized is not None:
                self._executor.resize(self._resized)
        return self._executor
