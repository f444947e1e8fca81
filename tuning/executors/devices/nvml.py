"""What NVIDIA's driver tells of the GPUs, read by NVML: no TensorFlow, no CUDA context."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeAlias

from tuning.errors import MissingError
from tuning.executors.devices.device import Device

Handle: TypeAlias = Any
"""NVML's own name of a GPU or of a MIG instance."""

_WORD_BITS = 64
# The daemon's server has the context of all its clients; those are listed by name of their own.
_MPS_SERVER = "nvidia-cuda-mps-server"


def read_devices() -> list[Device]:
    """Return the GPUs of the box in PCI order; one in MIG mode gives its instances instead.

    Raises:
        MissingError: There is an NVIDIA driver, but it does not answer.
    """
    if not _driver_is_there(os.getpid()):
        return []
    import pynvml

    try:
        n_gpus = pynvml.nvmlDeviceGetCount()
        return [device for i in range(n_gpus) for device in _devices_at(i)]
    except pynvml.NVMLError as error:
        raise _silent(error) from error


def read_device(uuid: str) -> Device | None:
    """Return one device as it is now; None where there is none of this UUID."""
    return next((device for device in read_devices() if device.uuid == uuid), None)


@cache
def _driver_is_there(pid: int) -> bool:
    """Begin with NVML, once a process: where nothing keeps the driver awake it takes seconds."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return False  # a box without NVIDIA's driver
    except pynvml.NVMLError as error:
        raise _silent(error) from error
    return True


def _silent(error: Exception) -> MissingError:
    return MissingError(
        f"the NVIDIA driver does not answer: {error}. "
        "Check nvidia-smi, or search on the CPU with --devices cpu."
    )


def _devices_at(index: int) -> Iterator[Device]:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    if not _is_cut(handle):
        yield _device(handle, handle, index)
        return
    for instance in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, instance)
        except pynvml.NVMLError_NotFound:  # fewer are made than could be
            continue
        yield _device(part, handle, index, instance=instance)


def _is_cut(handle: Handle) -> bool:
    """Whether a GPU is in MIG mode, where CUDA computes on its instances only."""
    import pynvml

    current, _ = _or_else([0, 0], lambda: pynvml.nvmlDeviceGetMigMode(handle))
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def _device(handle: Handle, gpu: Handle, index: int, instance: int | None = None) -> Device:
    """Describe a GPU, or an instance of one.

    Args:
        handle: Of what is described.
        gpu: Of the whole GPU; the same where it is not cut.
        index, instance: As in `Device`.
    """
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Device(
        index=index,
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        name=pynvml.nvmlDeviceGetName(handle),
        memory_mb=memory.total >> 20,
        free_mb=memory.free >> 20,
        instance=instance,
        pids=_computing(handle),
        near_cores=_near_cores(gpu),
    )


def _computing(handle: Handle) -> tuple[int, ...]:
    """Return the processes that compute there; those that draw as well are a desktop's."""
    import pynvml

    computing = _or_else([], lambda: pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
    clients = _or_else([], lambda: pynvml.nvmlDeviceGetMPSComputeRunningProcesses(handle))
    drawing = _or_else([], lambda: pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle))
    pids = {process.pid for process in [*computing, *clients]}
    pids -= {process.pid for process in drawing}
    return tuple(sorted(pid for pid in pids if not _is_mps_server(pid)))


def _is_mps_server(pid: int) -> bool:
    import pynvml

    name = str(_or_else("", lambda: pynvml.nvmlSystemGetProcessName(pid)))
    return name.rpartition("/")[2] == _MPS_SERVER


def _near_cores(handle: Handle) -> tuple[int, ...]:
    """Return the CPU cores of the GPU's NUMA node; () where the driver does not say."""
    import pynvml

    n_words = math.ceil((os.cpu_count() or 1) / _WORD_BITS)
    masks = _or_else([], lambda: list(pynvml.nvmlDeviceGetCpuAffinity(handle, n_words)))
    cores = range(len(masks) * _WORD_BITS)
    return tuple(i for i in cores if masks[i // _WORD_BITS] >> (i % _WORD_BITS) & 1)


def _or_else(default: Any, ask: Callable[[], Any]) -> Any:
    """Return what the driver answers, or the default where this device or driver cannot tell."""
    import pynvml

    try:
        return ask()
    except (
        pynvml.NVMLError_NotSupported,
        pynvml.NVMLError_FunctionNotFound,
        pynvml.NVMLError_NoPermission,
        pynvml.NVMLError_NotFound,
        pynvml.NVMLError_InvalidArgument,
    ):
        return default
