"""From a `Placement` to the record that keeps it, and back to what it has measured."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable

from tuning.executors.devices.slot import Kind
from tuning.executors.placement.model import Timing
from tuning.executors.placement.policy import Placement
from tuning.ledger.placement import KeptTiming, PlanRecord, PlanRow
from tuning.space.space import Space

_MOST_TIMINGS = 200


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
    )


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
