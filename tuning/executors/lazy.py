"""An executor that takes its devices with the first job: a search with nothing left to train waits
for none.
"""

from __future__ import annotations

from collections.abc import Callable

from tuning.executors.base import Event, Executor, Job, Slot


class LazyExecutor:
    """Makes the real one when it is needed, and is it from then on.

    Args:
        make: Gives the real one; may wait for a device.
    """

    def __init__(self, make: Callable[[], Executor]) -> None:
        self._make = make
        self._made: Executor | None = None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots held now; takes them."""
        return self._open().slots

    @property
    def room(self) -> int:
        """How many more jobs may be submitted; takes the slots."""
        return self._open().room

    def submit(self, job: Job) -> None:
        """Queue a job; takes the slots."""
        self._open().submit(job)

    def events(self, timeout_s: float) -> list[Event]:
        """Return what has happened: nothing, at once, before the first job."""
        return [] if self._made is None else self._made.events(timeout_s)

    def answer(self, job: str, verdict: str) -> None:
        """Answer the last report of a job."""
        if self._made is not None:
            self._made.answer(job, verdict)

    def cancel(self, job: str) -> None:
        """Stop a job at once."""
        if self._made is not None:
            self._made.cancel(job)

    def close(self) -> None:
        """Give the slots back; may be called twice."""
        if self._made is not None:
            self._made.close()

    def _open(self) -> Executor:
        if self._made is None:
            self._made = self._make()
        return self._made
