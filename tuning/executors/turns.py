"""`Turns`: which slots an executor has just now, which it may use, and its place in the line.

A slot is held for a trial. Without one it is given back; after one, too, where another search
stands in line, and this one goes to the end of it. Only who has no slot at all stands in line:
further slots are picked up where nobody waits for them. Of jobs nothing is known here; the executor
says what it needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tuning.errors import BusyError
from tuning.executors.devices.leases import Lease, Leases, Ticket, release
from tuning.executors.devices.occupancy import Occupancy
from tuning.executors.devices.slot import Slot
from tuning.executors.local_worker import LocalWorker

_POLL_S = 0.05  # while no slot is free
_GROW_S = 1.0  # between looks for further slots
_PATIENCE_S = 30.0  # without any slot, until it is said who holds them
_SILENCE_S = 600.0  # between two such words: searches that take turns wait again and again
MEMORY_TURN = "memory guard"
"""The lease of who may end a trial for lack of memory."""


class Turns:
    """The slots of one executor, leased while they are used.

    Attributes:
        wanted: Slots that have no worker yet, or none any more.

    Args:
        wanted: All of them.
        leases: Where devices are leased; None: where all searches of this user lease theirs.
        label: Who holds the devices, for messages to others.
        begin: Begins the worker of a slot that was leased.
    """

    def __init__(
        self,
        wanted: Sequence[Slot],
        *,
        leases: Leases | None,
        label: str,
        begin: Callable[[Slot, tuple[Lease, ...]], None],
    ) -> None:
        self.wanted = list(wanted)
        self._owns_leases = leases is None
        self._leases = Leases() if leases is None else leases
        self._occupancy = Occupancy(self._leases)
        self._label = label
        self._begin = begin
        self._ticket: Ticket | None = None  # while there is a job and no slot
        self._grow_at = time.monotonic() + _GROW_S
        self._notice: Callable[[str], None] | None = None
        self._awaited: list[str] = []  # the devices that the ticket is for
        self._tell_at = 0.0

    # --- slots that have no worker yet ---

    def wait_for_first(self, until: float, notice: Callable[[str], None] | None) -> None:
        """Begin a worker on each slot that is free; wait in line where none is.

        Raises:
            BusyError: None came free until then, on the monotonic clock.
        """
        names = [name for slot in self.wanted for name in slot.devices]
        self._notice = notice
        with self._leases.queue(names) as ticket:
            while not self._begin_where(lambda slot: not ticket.ahead(slot.devices)):
                if time.monotonic() >= until:
                    raise BusyError(
                        "no device is free, and there is no time left to wait for one: "
                        f"{self._holders(names)}"
                    )
                if notice is not None:
                    notice(f"waiting for a device: {self._holders(names)}")
                    notice = None  # once is enough
                time.sleep(_POLL_S)

    def grow(self) -> None:
        """Begin workers on wanted slots that came free, but never before somebody who has none."""
        if self.wanted and time.monotonic() >= self._grow_at:
            self._grow_at = time.monotonic() + (_GROW_S if self._ticket is None else _POLL_S)
            self._begin_where(lambda slot: self._nobody_is_before_us(slot.devices))
        self._tell_who_holds()

    def want(self, slots: Sequence[Slot]) -> None:
        """Have these slots wanted from now on, in place of those that were; look at once."""
        self.leave_line()  # it was for others; `stand_in_line` names these
        self.wanted = list(slots)
        self._grow_at = time.monotonic()

    def _begin_where(self, may: Callable[[Slot], bool]) -> bool:
        """Lease the wanted slots that are free and begin their workers; return whether any was."""
        n_before = len(self.wanted)
        for slot in [slot for slot in self.wanted if may(slot)]:
            leases = self._leases.acquire_all(slot.devices, self._label)
            if leases is None:
                continue
            if not self._occupancy.is_free(slot):  # asked with the lease: no search comes between
                release(leases)
                continue
            try:
                self._begin(slot, leases)
            except BaseException:
                release(leases)
                raise
            self.wanted.remove(slot)
        return len(self.wanted) < n_before

    def _holders(self, names: Sequence[str]) -> str:
        """Say who holds the first of the devices."""
        used = self._occupancy.words(names)
        holders = [
            f"{name} is {used.get(name) or f'held by {self._leases.holder(name)}'}"
            for name in names[:4]
        ]
        return ", ".join(holders)

    def _tell_who_holds(self) -> None:
        """Say who is waited for where no slot has come for long."""
        if self._ticket is None or self._notice is None or time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + _SILENCE_S
        self._notice(f"waiting for a device: {self._holders(self._awaited)}")

    # --- slots that have one ---

    def may_use(self, worker: LocalWorker) -> bool:
        """Whether a worker may be given a job now; takes its slot where it was given back."""
        if worker.leases:
            return not worker.turn_used or not self.is_waited_for(worker.slot.devices)
        if not self._nobody_is_before_us(worker.slot.devices):
            return False
        worker.leases = self._leases.acquire_all(worker.slot.devices, self._label) or ()
        worker.turn_used = False
        return bool(worker.leases)

    def is_waited_for(self, devices: Sequence[str]) -> bool:
        """Whether another search stands in line for one of the devices."""
        return self._leases.waited_for(devices)

    def _nobody_is_before_us(self, devices: Sequence[str]) -> bool:
        if self._ticket is not None:
            return not self._ticket.ahead(devices)
        return not self._leases.waited_for(devices)

    # --- the line ---

    def stand_in_line(self, slots: Sequence[Slot]) -> None:
        """Wait for any of these slots, or of those that are wanted; does nothing the second time.

        Whoever stands there is given a slot by `may_use` and `grow`, when it is his turn.
        """
        if self._ticket is None:
            self._awaited = [name for slot in [*self.wanted, *slots] for name in slot.devices]
            self._ticket = self._leases.queue(self._awaited)
            self._tell_at = max(self._tell_at, time.monotonic() + _PATIENCE_S)

    def leave_line(self) -> None:
        """Give up the place in the line, where there is one."""
        if self._ticket is not None:
            self._ticket.leave()
            self._ticket = None

    # --- for the executor's loop ---

    def next_looks(self) -> list[float]:
        """Return when to look at slots though nothing is heard, on the monotonic clock."""
        looks = []
        if self.wanted:
            looks.append(self._grow_at)
        if self._ticket is not None:
            looks.append(time.monotonic() + _POLL_S)
        return looks

    def take_memory_turn(self) -> Lease | None:
        """Take the right to end a trial for lack of memory; None where another search has it."""
        return self._leases.try_acquire(MEMORY_TURN, self._label)

    def close(self) -> None:
        """Leave the line; slots are given back by who has them. May be called twice."""
        self.leave_line()
        if self._owns_leases:
            self._owns_leases = False
            self._leases.close()
