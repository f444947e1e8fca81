"""Which slots `--devices` makes of the devices that there are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from tuning.errors import MissingError, StudyError
from tuning.executors.devices.device import Device, names, words
from tuning.executors.devices.gpus import discover, listed, preferred
from tuning.executors.devices.shares import CONTEXT_MB, LEAST_MB
from tuning.executors.devices.slot import Slot

Auto: TypeAlias = Literal["auto"]
AUTO: Auto = "auto"
"""In place of a number of slots on a GPU: as many as have the memory that trials need."""
_MOST_FEEDING = 2
"""Cores that feed a GPU beside CPU slots: one that launches, and one that prepares batches."""


def parse_devices(text: str, gpus_per_trial: int = 1, slots_per_gpu: int = 1) -> list[Slot]:
    """Return the slots that `--devices` asks for; a slot's leases are its name, split at `+`.

    Args:
        text: `auto` (all GPUs, else one slot for each core), `cpu`, `cpu:2`, `gpu`, GPUs by
            number or UUID: `0,1`, or `both`: all GPUs and all cores; with `/4` at its end four
            slots on each GPU, with `/auto` one until it is known what trials need.
        gpus_per_trial: GPUs of one slot; those left over are not used.
        slots_per_gpu: Slots on each GPU, with a part of its memory each, where `text` says nothing.

    Raises:
        StudyError: `text` means nothing here, names what was found; or the slots of a GPU would be
            too small, or are to be shared by trials of several GPUs.
        MissingError: GPUs were asked for and there are too few.
    """
    word, slash, count = text.strip().partition("/")
    if slash:
        slots_per_gpu = _count(text, count)
    cpu = re.fullmatch(r"cpu(?::(\d+))?", word)
    if cpu is not None:
        if slash:
            raise StudyError(f"--devices {text}: a CPU core is one slot; say {word}")
        return _cpu_slots(int(cpu[1]) if cpu[1] else None)

    if word == "both":
        gpu_slots = parse_devices("gpu", gpus_per_trial, slots_per_gpu)
        return beside(gpu_slots, _cpu_slots(None))

    gpus = discover()
    if word == "auto" and not gpus:
        return _cpu_slots(None)
    gpus = preferred(gpus) if word in ("auto", "gpu") else _chosen(word, gpus)
    if slots_per_gpu == 1:
        slots = _gpu_slots(gpus, gpus_per_trial)
    else:
        slots = _shares(gpus, gpus_per_trial, slots_per_gpu)
    return _with_cores(slots, gpus)


def beside(gpus: Sequence[Slot], cores: Sequence[Slot]) -> list[Slot]:
    """Return GPU slots with few cores each that feed them, and CPU slots on all cores.

    A slot on a core that feeds a GPU is used where no GPU is: who gives out the jobs sees to it.
    """
    n_feeding = max(1, min(_MOST_FEEDING, len(cores) // (2 * len(gpus))))
    own = [core for slot in cores for core in slot.cores]
    slots = []
    for place, slot in enumerate(gpus):
        near = slot.cores or tuple(own[place * n_feeding :] or own)
        slots.append(replace(slot, cores=near[:n_feeding], threads=n_feeding))
    return [*slots, *cores]


def per_gpu(devices: str, slots_per_gpu: int | Auto | None) -> str:
    """Return `--devices` with `--slots-per-gpu` at its end; None: nothing is said.

    Raises:
        StudyError: Both say how many.
    """
    if slots_per_gpu is None:
        return devices
    if "/" in devices:
        raise StudyError(
            f"--devices {devices} says how many slots a GPU has, so has another option"
        )
    return f"{devices}/{slots_per_gpu}"


def _count(text: str, count: str) -> int:
    if count == AUTO:
        return 1
    if not re.fullmatch("[1-9][0-9]{0,2}", count):
        raise StudyError(
            f"--devices {text}: {count!r} is no number of slots; say gpu/4, 0,1/4 or gpu/auto"
        )
    return int(count)


def _cpu_slots(count: int | None) -> list[Slot]:
    """Return `count` slots of one core each; None: as many as there are cores."""
    if count == 0:
        raise StudyError("--devices cpu:0 leaves no slot; use cpu:1 or more")
    cores = own_cores()
    if count is None:
        count = len(cores)

    slots = []
    for i in range(count):
        # Above the number of cores they are shared: cpu:0, cpu:1, cpu:0#1, cpu:1#1, …
        turn, position = divmod(i, len(cores))
        name = f"cpu:{cores[position]}"
        slots.append(_cpu_slot(f"{name}#{turn}" if turn else name, cores[position]))
    return slots


def own_cores() -> list[int]:
    """Return the CPU cores that this process may use."""
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


def _shares(gpus: Sequence[Device], per_trial: int, per_gpu: int) -> list[Slot]:
    """Return `per_gpu` slots for each GPU: first one on each, then the second on each, …"""
    if per_trial > 1:
        raise StudyError(
            f"--slots-per-gpu {per_gpu} is for trials of one GPU, and this study has "
            f"gpus_per_trial={per_trial}; leave one of the two out"
        )
    _gpu_slots(gpus, per_slot=1)  # there has to be one

    slots = []
    for i in range(per_gpu):
        for gpu in gpus:
            limit_mb = _limit_mb(gpu, per_gpu)
            slot = _gpu_slot([gpu.uuid])
            # Heeded where NVIDIA's MPS daemon runs, which knows the process' one device as 0.
            mps = {"CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": f"0={limit_mb + CONTEXT_MB}M"}
            slots.append(
                replace(
                    slot,
                    name=f"{gpu.uuid}#{i}/{per_gpu}",
                    environment={**slot.environment, **(mps if limit_mb else {})},
                    gpu_memory_mb=limit_mb,
                )
            )
    return slots


def _limit_mb(gpu: Device, per_gpu: int) -> int:
    """Return the memory of a share; 0 where the GPU's is unknown.

    Raises:
        StudyError: It would be too little.
    """
    if not gpu.memory_mb:
        return 0
    limit_mb = gpu.memory_mb // per_gpu - CONTEXT_MB
    if limit_mb < LEAST_MB:
        most = gpu.memory_mb // (LEAST_MB + CONTEXT_MB)
        raise StudyError(
            f"--slots-per-gpu {per_gpu}: GPU {gpu.number} has {gpu.memory_mb} MiB, and a slot "
            f"needs {LEAST_MB} beside the {CONTEXT_MB} of its CUDA context; "
            f"at most {most} would work"
        )
    return limit_mb


def _with_cores(slots: Sequence[Slot], gpus: Sequence[Device]) -> list[Slot]:
    """Give each GPU slot its part of the box's cores, near its GPU where the driver knows which.

    Where there are more slots than cores, a core has several.
    """
    own = own_cores()
    near = {gpu.uuid: tuple(sorted(set(gpu.near_cores) & set(own))) or tuple(own) for gpu in gpus}
    sharing: dict[tuple[int, ...], list[int]] = {}  # cores → places of the slots that share them
    for place, slot in enumerate(slots):
        uuid = slot.devices[0].partition("#")[0]
        sharing.setdefault(near[uuid], []).append(place)

    bound = list(slots)
    for cores, places in sharing.items():
        for i, place in enumerate(places):
            part = cores[i * len(cores) // len(places) : (i + 1) * len(cores) // len(places)]
            part = part or (cores[i % len(cores)],)
            bound[place] = replace(slots[place], cores=part, threads=len(part))
    return bound


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
