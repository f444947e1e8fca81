"""Which slots `--devices` makes of the devices that there are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from tuning.errors import MissingError, StudyError
from tuning.executors.devices.gpus import Device, discover, listed, names, words
from tuning.executors.devices.slot import Slot


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
    cpu = re.fullmatch(r"cpu(?::(\d+))?", word)
    if cpu is not None:
        return _cpu_slots(int(cpu[1]) if cpu[1] else None)

    gpus = discover()
    if word == "auto" and not gpus:
        return _cpu_slots(None)
    if word not in ("auto", "gpu"):
        gpus = _chosen(word, gpus)
    return _gpu_slots(gpus, gpus_per_trial)


def _cpu_slots(count: int | None) -> list[Slot]:
    """Return `count` slots of one core each; None: as many as there are cores."""
    if count == 0:
        raise StudyError("--devices cpu:0 leaves no slot; use cpu:1 or more")
    cores = _own_cores()
    if count is None:
        count = len(cores)

    slots = []
    for i in range(count):
        # Above the number of cores they are shared: cpu:0, cpu:1, cpu:0#1, cpu:1#1, …
        turn, position = divmod(i, len(cores))
        name = f"cpu:{cores[position]}"
        slots.append(_cpu_slot(f"{name}#{turn}" if turn else name, cores[position]))
    return slots


def _own_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _cpu_slot(name: str, core: int) -> Slot:
    return Slot(name, {"CUDA_VISIBLE_DEVICES": "-1"}, cores=(core,), threads=1)


def _gpu_slots(gpus: Sequence[Device], per_slot: int) -> list[Slot]:
    if len(gpus) < per_slot:
        raise MissingError(
            f"{per_slot} GPU{'s' if per_slot > 1 else ''} needed for a trial, {listed(gpus)}. "
            "Check nvidia-smi, or search on the CPU with --devices cpu."
        )
    uuids = [gpu.uuid for gpu in gpus]
    last_start = len(uuids) - per_slot
    return [_gpu_slot(uuids[i : i + per_slot]) for i in range(0, last_start + 1, per_slot)]


def _gpu_slot(uuids: Sequence[str]) -> Slot:
    environment = {"CUDA_VISIBLE_DEVICES": ",".join(uuids), "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    return Slot("+".join(uuids), environment, threads=0)


def _chosen(text: str, gpus: Sequence[Device]) -> list[Device]:
    """Return the GPUs named in a comma list, in its order."""
    chosen: list[Device] = []
    unknown: list[str] = []
    for word in words(text):
        device = next((gpu for gpu in gpus if names(word, gpu)), None)
        if device is None:
            unknown.append(repr(word))
        else:
            chosen.append(device)

    if unknown or not chosen:
        what = ", ".join(unknown) or repr(text)
        raise StudyError(
            f"--devices {text}: there is no device {what}; {listed(gpus)}. "
            "Say auto, cpu, cpu:2, gpu, or GPUs by number or UUID such as 0,1."
        )
    if len({gpu.uuid for gpu in chosen}) < len(chosen):
        raise StudyError(f"--devices {text} names a GPU twice")
    return chosen
