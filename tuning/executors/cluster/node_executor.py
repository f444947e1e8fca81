"""`NodeExecutor`: a `LocalExecutor` of one slot that a message can wake, for a slot on a node."""

from __future__ import annotations

import math
import select
from collections.abc import Callable
from pathlib import Path

from tuning.executors.base import Finished, Raised
from tuning.executors.devices.leases import Leases
from tuning.executors.devices.slot import Slot
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import LocalExecutor
from tuning.executors.messages import Failed, Returned
from tuning.executors.supervision.memory_guard import MemoryGuard
from tuning.executors.turns import MEMORY_TURN
from tuning.executors.worker import Limits


class NodeExecutor(LocalExecutor):
    """Runs jobs on one slot; the value of a `Finished` is the pickle that the worker has made.

    A GPU is leased on its node, so that a search that was begun there without Ray does not use it
    too. A CPU slot is no certain core: Ray counts them, and the kernel shares them out.

    Args:
        slot: The slot.
        forkserver: Started or not.
        folder: For its log.
        limits: When a worker is replaced, how much it may print.
        label: Who holds the device, for messages to others.
        notice: Called with what is waited for, in words.
        wakes: A descriptor: when it is readable, `on_wake` is called within `events`.
        on_wake: Takes in what has come, and may submit, answer and cancel.
    """

    def __init__(
        self,
        slot: Slot,
        *,
        forkserver: ForkServer,
        folder: Path,
        limits: Limits,
        label: str,
        notice: Callable[[str], None],
        wakes: int,
        on_wake: Callable[[], None],
    ) -> None:
        self._wakes = wakes
        self._on_wake = on_wake
        self._box = Leases()  # what all searches of this user on the node see
        is_cpu = slot.name.startswith("ray:")
        super().__init__(
            [slot],
            forkserver=forkserver,
            log_folder=folder / "logs",
            leases=Leases(folder / "leases") if is_cpu else self._box,
            limits=limits,
            label=label,
            until=math.inf,
            notice=notice,
        )
        self._memory = MemoryGuard(
            limits.memory_bytes,
            take_turn=lambda: self._box.try_acquire(MEMORY_TURN, label),
        )

    def take_back(self) -> list[str]:
        """Return the jobs that will not run here, as the slot is given up; they are forgotten."""
        if self.slots:
            return []
        jobs = [queued.job.id for queued in self._waiting]
        self._waiting.clear()
        return jobs

    def _poller(self) -> select.poll:
        poller = super()._poller()
        poller.register(self._wakes, select.POLLIN)
        return poller

    def _wait(self, timeout_s: float) -> set[int]:
        ready = super()._wait(timeout_s)
        if self._wakes in ready:
            self._on_wake()
        return ready

    def _end_of(self, message: Returned | Failed) -> Finished | Raised:
        if isinstance(message, Returned):
            return Finished(message.job, message.pickled_value)
        return super()._end_of(message)
