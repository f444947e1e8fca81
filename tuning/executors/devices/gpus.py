"""Which GPUs the box has, as NVIDIA's driver tells."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from tuning.errors import MissingError


@dataclass(frozen=True)
class Device:
    """A GPU.

    Attributes:
        index: Its number on the box, from 0, in PCI order as `nvidia-smi` counts.
        uuid: What `CUDA_VISIBLE_DEVICES` and the lease are given; unlike the number it never moves.
        name: For people.
        memory_mb: In MiB; 0 where unknown.
    """

    index: int
    uuid: str
    name: str = ""
    memory_mb: int = 0


def discover() -> list[Device]:
    """Return the GPUs this process may use, without TensorFlow.

    `TUNING_DEVICES`, a comma list of UUIDs, stands in for the driver where it is set.
    `CUDA_VISIBLE_DEVICES`, as batch systems set it, leaves out the others.

    Raises:
        MissingError: There is an NVIDIA driver, but it does not answer.
    """
    stand_ins = os.environ.get("TUNING_DEVICES")
    if stand_ins is not None:
        return [Device(i, uuid, "stand-in") for i, uuid in enumerate(words(stand_ins))]

    devices = _from_nvml()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return devices
    return [device for word in words(visible) for device in devices if names(word, device)]


def listed(gpus: Sequence[Device]) -> str:
    """Say in words which there are."""
    found = ", ".join(f"{gpu.index} ({gpu.uuid})" for gpu in gpus)
    return f"GPUs found: {found or 'none'}"


def names(word: str, device: Device) -> bool:
    """Whether a number, or a UUID or the beginning of one as CUDA takes it, means this device."""
    if word in (str(device.index), device.uuid):
        return True
    return word.startswith("GPU-") and device.uuid.startswith(word)


def words(text: str) -> list[str]:
    """Return the words of a comma list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _from_nvml() -> list[Device]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return []  # a box without NVIDIA's driver
    except pynvml.NVMLError as error:
        raise MissingError(
            f"the NVIDIA driver does not answer: {error}. "
            "Check nvidia-smi, or search on the CPU with --devices cpu."
        ) from error
    try:
        return [_from_handle(pynvml, i) for i in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()


def _from_handle(pynvml: ModuleType, index: int) -> Device:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    return Device(
        index=index,
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        name=pynvml.nvmlDeviceGetName(handle),
        memory_mb=pynvml.nvmlDeviceGetMemoryInfo(handle).total >> 20,
    )
