"""From a `Placement` to the record that keeps it, and back to what it has measured."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tuning.executors.devices.slot import Kind, Slot
from tuning.executors.placement.model import Timing
from tuning.executors.placement.policy import Placement
from tuning.ledger.placement import KeptTiming, PlanRecord, PlanRow, read_plan
from tuning.space.space import Space

_MOST_TIMINGS = 200
_OLD_NOISE = 0.3  # what was measured in another search is so uncertain, in the logarithm


def plan_of(placement: Placement) -> PlanRecord:
    """Return the plan as it is now."""
    gain = placement.gain if placement.mode == "both" else None
    if gain is not None and not math.isfinite(gain):
        gain = None
    return PlanRecord(
        mode=placement.mode,
        gain=gain,
        words=_words(placement, gain),
        rows=_rows(placement),
        timings=tuple(_kept(timing) for timing in placement.timings[-_MOST_TIMINGS:]),
        decided_at=time.time(),
        box=box_of(placement.slots),
    )


def box_of(slots: Iterable[Slot]) -> str:
    """Return what tells a box from others: its GPUs, and how many cores are used."""
    gpus: set[str] = set()
    n_cores = 0
    for slot in slots:
        if slot.kind == "cpu":
            n_cores += 1
        else:
            gpus.update(device.partition("#")[0] for device in slot.devices)
    return f"{','.join(sorted(gpus))}; {n_cores} cores"


def timings_of_others(folder: Path, slots: Iterable[Slot], space: Space) -> list[Timing]:
    """Return what the latest other search of a study has measured on this box.

    Its data or epochs may have been others: what is measured now weighs more.

    Args:
        folder: Of the search that begins; those of others lie beside it.
        slots: Of the search that begins.
        space: Of the study.
    """
    box = box_of(slots)
    plans = [read_plan(path.parent) for path in folder.parent.glob(f"*/{PlanRecord.FILE}")]
    of_box = [plan for plan in plans if plan is not None and plan.box == box]
    if not of_box:
        return []
    latest = max(of_box, key=lambda plan: plan.decided_at)
    return [
        replace(timing, noise=math.hypot(timing.noise, _OLD_NOISE))
        for timing in timings_of(latest, space)
    ]


def timings_of(plan: PlanRecord, space: Space) -> list[Timing]:
    """Return what a plan was made from, without timings of what is not searched now."""
    timings = []
    for kept in plan.timings:
        if kept.kind not in ("cpu", "gpu") or not set(kept.params) <= set(space.domains):
            continue
        kind: Kind = "gpu" if kept.kind == "gpu" else "cpu"
        timings.append(
            Timing(
                kind=kind,
                params={name: space[name].decode(each) for name, each in kept.params.items()},
                epoch_s=kept.epoch_s,
                setup_s=kept.setup_s,
                noise=kept.noise,
            )
        )
    return timings


def _kept(timing: Timing) -> KeptTiming:
    return KeptTiming(
        kind=timing.kind,
        params=dict(timing.params),
        epoch_s=timing.epoch_s,
        setup_s=timing.setup_s,
        noise=timing.noise,
    )


def _words(placement: Placement, gain: float | None) -> str:
    counts = placement.model.n_timings
    timed = f"timed: {counts['cpu']} times on cores, {counts['gpu']} times on GPUs"
    if placement.mode == "cpu":
        return f"plan: trials run on CPU cores alone, where they end first ({timed})"
    if placement.mode == "gpu":
        return f"plan: trials run on GPUs alone, where they end first ({timed})"
    where = "as they come free" if gain is None else f"that gain more than {gain:.3g} times on GPUs"
    return f"plan: trials run on both; on GPUs those {where}, on CPU cores the others ({timed})"


def _rows(placement: Placement) -> tuple[PlanRow, ...]:
    structures: dict[str, dict[str, list[float]]] = {}
    for timing in placement.timings:
        name = placement.model.features.structure_of(timing.params)
        by_kind = structures.setdefault(name, {"cpu": [], "gpu": []})
        by_kind[timing.kind].append(timing.epoch_s)
    return tuple(
        PlanRow(
            structure=name,
            n_cpu=len(by_kind["cpu"]),
            n_gpu=len(by_kind["gpu"]),
            cpu_s=_median(by_kind["cpu"]),
            gpu_s=_median(by_kind["gpu"]),
        )
        for name, by_kind in sorted(structures.items())
    )


def _median(seconds: Iterable[float]) -> float | None:
    values = list(seconds)
    return statistics.median(values) if values else None
