"""Which GPUs this process may use, which of them are free, and who computes on the others."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from tuning.executors.devices.device import Device, names, visible, words
from tuning.executors.devices.nvml import read_devices
from tuning.executors.devices.people import ancestors, command_of, user_of

__all__ = ["Device", "discover", "listed", "names", "why_not_free", "words"]

STAND_IN = "stand-in"
"""The name of a device that `TUNING_DEVICES` makes up."""

# Where a container hides who computes, what is gone of the memory still tells that somebody does.
_LEAST_FREE = 0.5


def discover() -> list[Device]:
    """Return the GPUs this process may use, without TensorFlow.

    `TUNING_DEVICES`, a comma list of UUIDs, stands in for the driver where it is set.
    `CUDA_VISIBLE_DEVICES`, as batch systems set it, leaves out the others.

    Raises:
        MissingError: There is an NVIDIA driver, but it does not answer.
    """
    stand_ins = os.environ.get("TUNING_DEVICES")
    if stand_ins is not None:
        return [Device(i, uuid, STAND_IN) for i, uuid in enumerate(words(stand_ins))]

    devices = read_devices()
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return devices if shown is None else visible(shown, devices)


def preferred(devices: Sequence[Device]) -> list[Device]:
    """Return them in the order of use.

    Those where nobody computes first, the emptiest first (by the GiB: a few MiB tell nothing), then
    as `nvidia-smi` counts.
    """
    return sorted(devices, key=lambda device: (bool(device.pids), -(device.free_mb >> 10)))


def listed(gpus: Sequence[Device]) -> str:
    """Say in words which there are."""
    found = ", ".join(f"{gpu.number} ({gpu.uuid})" for gpu in gpus)
    return f"GPUs found: {found or 'none'}"


def foreign(device: Device, ours: Collection[int]) -> list[int]:
    """Return the processes that compute on a device and belong to no search that has leased it.

    Args:
        device: As it was just read.
        ours: The searches that have leased it, each by its driver; what they have started is
            theirs.
    """
    return [pid for pid in device.pids if not ancestors(pid) & set(ours)]


def why_not_free(device: Device, ours: Collection[int], *, is_shared: bool = False) -> str:
    """Return who computes on a device, or that too little memory is left; "" where it is free.

    Args:
        device: As it was just read.
        ours: As for `foreign`.
        is_shared: Whether others of `ours` may be there already, so that memory tells nothing.
    """
    others = foreign(device, ours)
    if others:
        users = ", ".join(f"process {pid} ({user_of(pid)}: {command_of(pid)})" for pid in others)
        return f"used by {users}"
    is_ours = bool(device.pids) or is_shared
    if not is_ours and device.free_mb < _LEAST_FREE * device.memory_mb:
        return f"not free: {device.free_mb} of {device.memory_mb} MiB are left"
    return ""
