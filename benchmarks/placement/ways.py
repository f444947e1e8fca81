"""What a search takes where nothing is planned while it runs: three ways to compare with."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Mapping

from benchmarks.placement.boxes import Box, Study, Trial
from tuning.executors.devices.slot import Kind
from tuning.executors.placement.model import KINDS


def alone_s(study: Study, kind: Kind, n_slots: int) -> float:
    """Return the seconds of a search on slots of one kind."""
    ends = [0.0] * n_slots
    for trial in study.trials:
        heapq.heapreplace(ends, ends[0] + trial.seconds(kind))
    return max(ends)


def split_s(study: Study, box: Box) -> float:
    """Return the seconds of the best sharing that knows all seconds beforehand.

    Trials run on a GPU from a certain gain on, the best one of 30, strictly, or also on the other
    kind where that is done with them earlier. As many trials are open at a time as ever, for
    an engine is not asked for all at once.
    """
    slots: dict[Kind, int] = {"cpu": box.cores - box.gpus * box.feeding, "gpu": box.gpus}
    gains = sorted(trial.seconds("cpu") / trial.seconds("gpu") for trial in study.trials)
    limits = gains[:: max(1, len(gains) // 30)]
    return min(
        _shared_s(study, slots, limit, strict=strict)
        for limit in limits
        for strict in (True, False)
    )


def _shared_s(study: Study, slots: Mapping[Kind, int], limit: float, *, strict: bool) -> float:
    """Return the seconds of a search whose trials run on GPUs from a gain on."""
    most = 2 * study.open_per_slot * sum(slots.values())
    free = dict(slots)
    coming = list(study.trials)[::-1]
    waiting: dict[Kind, list[Trial]] = {"cpu": [], "gpu": []}
    running: list[tuple[float, int, Kind]] = []
    now = 0.0
    order = itertools.count()

    def begin(trial: Trial, kind: Kind) -> None:
        free[kind] -= 1
        heapq.heappush(running, (now + trial.seconds(kind), next(order), kind))

    def last_is_earlier_on(kind: Kind, other: Kind) -> bool:
        ahead_s = sum(end - now for end, _, where in running if where == other)
        ahead_s += sum(trial.seconds(other) for trial in waiting[other])
        return waiting[other][-1].seconds(kind) <= ahead_s / slots[other]

    while coming or running or any(waiting.values()):
        while coming and len(running) + sum(map(len, waiting.values())) < most:
            trial = coming.pop()
            gains_here = trial.seconds("cpu") >= limit * trial.seconds("gpu")
            waiting["gpu" if gains_here else "cpu"].append(trial)
        for kind in KINDS:
            other = KINDS[kind == "cpu"]
            while free[kind] and waiting[kind]:
                begin(waiting[kind].pop(0), kind)
            while free[kind] and not strict and waiting[other] and last_is_earlier_on(kind, other):
                begin(waiting[other].pop(), kind)
        if not running:  # strictly none can begin: no slot of its kind
            return math.inf
        now, _, kind = heapq.heappop(running)
        free[kind] += 1
    return now
