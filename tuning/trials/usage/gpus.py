"""What NVIDIA's driver tells of the GPUs that a trial has leased, and of no other.

Where several trials share a GPU its figures are those of all of them together; what this process
has of its memory stands beside them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from tuning.trial import Metrics


def gpu_figures(uuids: Sequence[str]) -> Metrics:
    """Return utilisation, memory, power and temperature of some GPUs, named as MLflow names them.

    Args:
        uuids: Of GPUs or of MIG instances; the first is `gpu_0`, whatever its number on the box.

    Returns:
        Percent, 10^6 bytes, watts and degrees Celsius, by name. What a device does not tell (a MIG
        instance its utilisation, a stand-in all of it) is left out, and this process' part of the
        memory where the driver does not know it by its number: in a container.
    """
    nvml = _open_nvml() if uuids else None
    if nvml is None:
        return {}

    figures: dict[str, float] = {}
    for place, uuid in enumerate(uuids):
        for name, value in _figures_of(nvml, uuid):
            figures[f"gpu_{place}_{name}"] = value
    return figures


@functools.cache
def _open_nvml() -> ModuleType | None:
    """Return NVIDIA's library, opened once in a process; None on a box without its driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # whatever keeps the driver from answering: the figures are for show
        return None
    library: ModuleType = pynvml
    return library


def _figures_of(nvml: ModuleType, uuid: str) -> Iterator[tuple[str, float]]:
    """Yield what one device tells."""
    handle = _asked(nvml, lambda: nvml.nvmlDeviceGetHandleByUUID(uuid))
    if handle is None:
        return

    rates = _asked(nvml, lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    if rates is not None:
        yield "utilization_percentage", float(rates.gpu)
    memory = _asked(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    if memory is not None:
        yield "memory_usage_megabytes", memory.used / 1e6
        yield "memory_usage_percentage", 100 * memory.used / memory.total
    own = _memory_of_own(nvml, handle)
    if own:
        yield "process_memory_megabytes", own / 1e6
    milliwatts = _asked(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle))
    if milliwatts is not None:
        yield "power_usage_watts", milliwatts / 1000
    celsius = _asked(nvml, lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
    if celsius is not None:
        yield "temperature_celsius", float(celsius)


def _memory_of_own(nvml: ModuleType, handle: Any) -> int:
    """Return the bytes of a device that this process has; 0 where the driver does not say."""
    computing = _asked(nvml, lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle)) or []
    clients = _asked(nvml, lambda: nvml.nvmlDeviceGetMPSComputeRunningProcesses(handle)) or []
    own = [each.usedGpuMemory for each in [*computing, *clients] if each.pid == os.getpid()]
    return max((bytes_ for bytes_ in own if bytes_ is not None), default=0)


def _asked(nvml: ModuleType, question: Callable[[], Any]) -> Any:
    """Return an answer of the driver's; None where it has none."""
    try:
        return question()
    except nvml.NVMLError:
        return None
