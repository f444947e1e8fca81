"""What `--devices` means on a cluster: wishes, which become slots where the cluster has room.

A wish is a `Slot` that names no device yet. `ray:auto`, `ray:cpu` and `ray:gpu` stand for as many
as there are; `ray:cpu:0`, `ray:cpu:1` … are counted. Several GPUs of a trial are joined by `+`, as
in the name of every slot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tuning.errors import StudyError
from tuning.executors.devices.slot import Slot

Kind = Literal["auto", "cpu", "gpu"]
_NAME = re.compile(r"ray:(auto|cpu|gpu)(:\d+)?")


@dataclass(frozen=True)
class Demand:
    """What is asked of a cluster.

    Attributes:
        kind: Of its slots; "auto": GPUs where there are any, else CPUs.
        count: Slots; None: as many as the cluster has room for.
        per_slot: GPUs of one slot, all of one node.
    """

    kind: Kind
    count: int | None
    per_slot: int = 1


def parse_cluster_devices(text: str, gpus_per_trial: int = 1) -> list[Slot]:
    """Return the wishes of `--devices` on a cluster.

    Args:
        text: `auto`, `cpu`, `cpu:8`, `gpu`, `gpu:8`.
        gpus_per_trial: GPUs of one slot; of `gpu:8` those left over are not used.

    Raises:
        StudyError: `text` means nothing on a cluster.
    """
    word = text.strip()
    match = re.fullmatch(r"(auto|cpu|gpu)(?::(\d+))?", word)
    if match is None or (match[1] == "auto" and match[2]):
        raise StudyError(
            f"--devices {text}: on a cluster say auto, cpu, cpu:8, gpu or gpu:8; "
            "Ray chooses which devices these are"
        )
    kind = match[1]
    per_slot = 1 if kind == "cpu" else gpus_per_trial
    if match[2] is None:
        return [_wish(f"ray:{kind}", per_slot)]

    count = int(match[2]) // per_slot
    if count == 0:
        raise StudyError(f"--devices {text} leaves no slot; use {kind}:{per_slot} or more")
    return [_wish(f"ray:{kind}:{number}", per_slot) for number in range(count)]


def demand_of(wishes: Sequence[Slot]) -> Demand:
    """Return what wishes ask for in all.

    Raises:
        StudyError: One of them is a device of this box.
    """
    kinds = set()
    counted = True
    for wish in wishes:
        match = _NAME.fullmatch(wish.devices[0])
        if match is None:
            raise StudyError(f"'{wish.name}' is a device of this machine, not of a cluster")
        kinds.add(match[1])
        counted = counted and match[2] is not None
    if len(kinds) > 1:
        raise StudyError("on a cluster the slots of a search are all on CPUs, or all on GPUs")

    kind: Kind = "auto"
    for each in ("cpu", "gpu"):
        if each in kinds:
            kind = each
    per_slot = len(wishes[0].devices) if wishes else 1
    return Demand(kind, len(wishes) if counted else None, per_slot)


def require_counted(slots: Sequence[Slot]) -> None:
    """Refuse wishes for as many slots as there are; slots of a box are counted.

    Raises:
        StudyError: How many there will be is not known.
    """
    for slot in slots:
        match = _NAME.fullmatch(slot.devices[0])
        if match is not None and match[2] is None:
            raise StudyError(
                "--deterministic needs to know how many trials run at once: "
                "say their number on the cluster, as in --devices cpu:8"
            )


def _wish(name: str, per_slot: int) -> Slot:
    return Slot("+".join([name] * per_slot))
