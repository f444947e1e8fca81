"""Which devices the box has, and which slots `--devices` makes of them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from tuning.errors import MissingError, StudyError
from tuning.executors.base import Slot


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
    stand_in = os.environ.get("TUNING_DEVICES")
    if stand_in is not None:
        return [Device(i, uuid, "stand-in") for i, uuid in enumerate(_words(stand_in))]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = _from_nvml()
    if visible is None:
        return found
    return [device for word in _words(visible) for device in found if _names(word, device)]


def parse_devices(text: str, gpus_per_trial: int = 1) -> list[Slot]:
    """Return the slots that `--devices` asks for; a slot's leases are its name, split at `+`.

    Args:
        text: `auto` (all GPUs, else one slot for each core), `cpu`, `cpu:2`, `gpu`, or GPUs by
            number or UUID: `0,1`.
        gpus_per_trial: GPUs of one slot; those left over are not used.

    Raises:
        StudyError: `text` means nothing here; names what was found.
        MissingError: GPUs were asked for and there are too few.
    """
    word = text.strip()
    if match := re.fullmatch(r"cpu(?::(\d+))?", word):
        return _cpu_slots(None if match[1] is None else int(match[1]))
    gpus = discover()
    if word == "auto" and not gpus:
        return _cpu_slots(None)
    if word not in ("auto", "gpu"):
        gpus = _chosen(word, gpus)
    return _gpu_slots(gpus, gpus_per_trial)


def _cpu_slots(count: int | None) -> list[Slot]:
    cores = (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(os.cpu_count() or 1))
    )
    if count == 0:
        raise StudyError("--devices cpu:0 leaves no slot; use cpu:1 or more")
    # Above the number of cores they are shared: cpu:0, cpu:1, cpu:0#1, cpu:1#1, …
    turns = [divmod(i, len(cores)) for i in range(len(cores) if count is None else count)]
    return [_cpu_slot(cores[at], f"#{turn}" if turn else "") for turn, at in turns]


def _cpu_slot(core: int, turn: str) -> Slot:
    return Slot(f"cpu:{core}{turn}", {"CUDA_VISIBLE_DEVICES": "-1"}, cores=(core,), threads=1)


def _gpu_slots(gpus: Sequence[Device], each: int) -> list[Slot]:
    if len(gpus) < each:
        raise MissingError(
            f"{each} GPU{'s' if each > 1 else ''} needed for a trial, {_listed(gpus)}. "
            "Check nvidia-smi, or search on the CPU with --devices cpu."
        )
    uuids = [gpu.uuid for gpu in gpus]
    groups = [uuids[i : i + each] for i in range(0, len(uuids) - each + 1, each)]
    return [_gpu_slot(group) for group in groups]


def _gpu_slot(uuids: Sequence[str]) -> Slot:
    environment = {"CUDA_VISIBLE_DEVICES": ",".join(uuids), "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    return Slot("+".join(uuids), environment, threads=0)


def _chosen(text: str, gpus: Sequence[Device]) -> list[Device]:
    words = _words(text)
    chosen = [next((gpu for gpu in gpus if _names(word, gpu)), None) for word in words]
    unknown = [word for word, gpu in zip(words, chosen, strict=True) if gpu is None]
    if unknown or not words:
        what = ", ".join(repr(word) for word in unknown) or repr(text)
        raise StudyError(
            f"--devices {text}: there is no device {what}; {_listed(gpus)}. "
            "Say auto, cpu, cpu:2, gpu, or GPUs by number or UUID such as 0,1."
        )
    if len({gpu.uuid for gpu in chosen if gpu}) < len(chosen):
        raise StudyError(f"--devices {text} names a GPU twice")
    return [gpu for gpu in chosen if gpu]


def _listed(gpus: Sequence[Device]) -> str:
    return "GPUs found: " + (", ".join(f"{gpu.index} ({gpu.uuid})" for gpu in gpus) or "none")


def _names(word: str, device: Device) -> bool:
    """Whether a number, or a UUID or the beginning of one as CUDA takes it, means this device."""
    return (
        word == str(device.index)
        or device.uuid == word
        or (word.startswith("GPU-") and device.uuid.startswith(word))
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _from_nvml() -> list[Device]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return []  # a box without NVIDIA's driver
    except pynvml.NVMLError as error:
        raise MissingError(
            f"the NVIDIA driver does not answer: {error}. Check nvidia-smi, or search on the CPU with --devices cpu."
        ) from error
    try:
        return [_from_handle(pynvml, i) for i in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()


def _from_handle(pynvml: ModuleType, index: int) -> Device:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle).total >> 20
    return Device(index, pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle), memory)
