"""Which processes compute on a GPU and are no part of a search: as NVIDIA's driver tells.

Only processes that this one can see count. In a container the driver may name those of the box by
numbers that mean nothing here, and nobody could say whose they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import psutil

from tuning.executors.supervision.parts import WORKER

_MPS = "nvidia-cuda-mps"
"""NVIDIA's server computes for others, ours among them."""


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


PidsOn: TypeAlias = Callable[[str], list[int]]
"""Returns the processes that compute on a GPU, by its UUID."""


def foreign_processes(uuid: str, pids_on: PidsOn | None = None) -> list[Foreign]:
    """Return the processes on a GPU that are neither below this one nor a search's workers.

    Args:
        uuid: Of a GPU, or of an instance of one.
        pids_on: Who computes there; None: as the driver tells, whose silence is no process.
    """
    pids = (pids_on or _from_nvml)(uuid)
    return [found for pid in pids if (found := _foreign(pid)) is not None]


def _foreign(pid: int) -> Foreign | None:
    try:
        process = psutil.Process(pid)
        name = process.name()
        # Other searches' workers hold a lease of their own.
        if name == WORKER.name or name.startswith(_MPS):
            return None
        if any(parent.pid == os.getpid() for parent in [process, *process.parents()]):
            return None
        return Foreign(pid, process.username(), name)
    except psutil.Error:  # it has ended, or lives in another container
        return None


def _from_nvml(uuid: str) -> list[int]:
    import pynvml

    try:
        # Counted by NVML: each call begins and ends its own use.
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        return [each.pid for each in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()
