"""Whom a search that yields leaves its GPUs to: processes of others that can be seen to be there.

Who computes on a GPU, and who belongs to a search, is told as for leases (`gpus.foreign`). A lease
is refused for anybody who may be there; a GPU that is ours is left only for somebody who is: in a
container the driver may name processes of the box by numbers that mean nothing here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tuning.errors import MissingError
from tuning.executors.devices.gpus import foreign
from tuning.executors.devices.nvml import read_devices
from tuning.executors.devices.people import command_of, user_of
from tuning.executors.supervision.parts import WORKER

_HIDDEN = "?"


@dataclass(frozen=True)
class Foreign:
    """A process of somebody else's on a GPU."""

    pid: int
    user: str
    name: str

    @property
    def words(self) -> str:
        """As a user is told of it."""
        return f"process {self.pid} ({self.user}, {self.name})"


def foreign_processes() -> dict[str, Sequence[Foreign]]:
    """Return, by GPU, the processes there that are neither below this one nor a search's workers.

    A driver that is silent tells of nobody.
    """
    try:
        devices = read_devices()
    except MissingError:
        return {}
    found: dict[str, Sequence[Foreign]] = {}
    for device in devices:
        pids = foreign(device, {os.getpid()})
        others = [Foreign(pid, user_of(pid), command_of(pid)) for pid in pids]
        found[device.uuid] = [each for each in others if _is_to_be_left(each)]
    return found


def _is_to_be_left(other: Foreign) -> bool:
    # Other searches' workers hold a lease of their own.
    return other.user != _HIDDEN and other.name not in (_HIDDEN, WORKER.name)
