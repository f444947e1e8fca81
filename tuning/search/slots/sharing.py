"""`Sharing`: how many trials share a GPU with `--slots-per-gpu auto`.

Nobody knows beforehand what memory the trials of a search need, so it begins with one on each GPU.
Those that have ended tell; then as many share each GPU as have the most that one has needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuning.executors.devices.device import Device
from tuning.executors.devices.gpus import discover
from tuning.executors.devices.shares import shares_for_all
from tuning.executors.devices.slot import Slot
from tuning.executors.devices.slots import AUTO, own_cores
from tuning.ledger.usage import devices_of

LEAST_TOLD = 4
"""So many trials have ended before a GPU is shared: the first ones may be the smallest."""


@dataclass(frozen=True)
class Need:
    """What the trials that have ended have needed of a GPU's memory.

    Attributes:
        trials: Of how many that is known.
        mb: The most of one, in MiB.
    """

    trials: int
    mb: float


class Sharing:
    """Says how many trials share each of a search's GPUs.

    Args:
        need: Returns what trials have needed; asked several times a second.
        gpus: Returns the GPUs of the box.
    """

    def __init__(
        self, need: Callable[[], Need], gpus: Callable[[], Sequence[Device]] = discover
    ) -> None:
        self._need = need
        self._gpus = gpus
        self._mb = 0.0
        self._shares = 1

    def shares(self, slots: Sequence[Slot]) -> int:
        """Return how many trials may share each GPU of some slots."""
        need = self._need()
        if need.trials < LEAST_TOLD or need.mb <= self._mb:
            return self._shares
        self._mb = need.mb
        uuids = {uuid for slot in slots for uuid in devices_of(slot.name)}
        gpus = [gpu for gpu in self._gpus() if gpu.uuid in uuids]
        self._shares = shares_for_all(gpus, need.mb, len(own_cores()))
        return self._shares

    @property
    def words(self) -> str:
        """Why so many."""
        return f"trials have needed up to {self._mb:.0f} MiB of a GPU"


def is_auto(devices: str) -> bool:
    """Whether `--devices` leaves it to us how many trials share a GPU."""
    return devices.strip().endswith(f"/{AUTO}")


def with_shares(devices: str, shares: int) -> str:
    """Return `gpu/auto` with a number in the place of the word."""
    return f"{devices.strip().removesuffix(AUTO)}{shares}"
