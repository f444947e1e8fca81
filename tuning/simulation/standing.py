"""What came of simulated searches, by engine and number of slots: medians over the seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tuning.bench.statistics.anytime import number, sign
from tuning.simulation.run import SimulatedRun


@dataclass(frozen=True)
class Standing:
    """Medians over the seeds of one engine on one number of slots.

    Attributes:
        wall_s, utilisation, slot_hours, regret: As of `SimulatedRun`.
        best: The incumbent's value at the end, as the engine saw it.
        expected: What the best point that ends well on all training seeds is worth, without the
            luck of one.
        trials: Trials that have ended.
        engine_s: The engine's own seconds in all.
        asked_ms: Its milliseconds for one proposal.
        lost: Share of the work that crashes and preemptions have thrown away.
        bound: What limits the search: "slots", or "engine" where its own time is longer than the
            simulated.
    """

    engine: str
    slots: int
    seeds: int
    trials: float
    wall_s: float
    utilisation: float
    slot_hours: float
    best: float | None
    expected: float | None
    regret: float | None
    engine_s: float
    asked_ms: float
    lost: float
    bound: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def standings(runs: Sequence[SimulatedRun]) -> list[Standing]:
    """Return one for each engine and number of slots, in the order of the runs."""
    groups: dict[tuple[str, int], list[SimulatedRun]] = {}
    for run in runs:
        groups.setdefault((run.curve.engine, run.slots), []).append(run)
    return [_standing(engine, slots, some) for (engine, slots), some in groups.items()]


def _standing(engine: str, slots: int, runs: Sequence[SimulatedRun]) -> Standing:
    wall, own = median(run.wall_s for run in runs), median(run.engine_s for run in runs)
    way = sign(runs[0].curve)
    asked = [1000 * seconds for run in runs for seconds in run.curve.asked_s]
    return Standing(
        engine,
        slots,
        len(runs),
        median(len(run.curve.values) for run in runs),
        wall,
        median(run.utilisation for run in runs),
        median(run.slot_hours for run in runs),
        _median((run.curve.values[-1] if run.curve.values else None for run in runs), way),
        _median((run.curve.tests[-1] if run.curve.tests else None for run in runs), way),
        _median((run.regret for run in runs), 1),
        own,
        median(asked) if asked else 0.0,
        median(run.lost_s / run.busy_s if run.busy_s else 0.0 for run in runs),
        "engine" if own > wall else "slots",
    )


def _median(values: Iterator[float | None], way: int) -> float | None:
    """Return the median, a search that found nothing being the worst; None where it is one of
    those.
    """
    return number(median(way * math.inf if value is None else value for value in values))


def sentences(found: Sequence[Standing]) -> list[str]:
    """Say what more slots bring to each engine, and where they cannot be used."""
    said = []
    for engine in dict.fromkeys(each.engine for each in found):
        mine = sorted(
            (each for each in found if each.engine == engine), key=lambda each: each.slots
        )
        few, many = mine[0], mine[-1]
        if few.slots != many.slots and many.wall_s:
            said.append(
                f"{engine}: {many.slots} slots instead of {few.slots} end {few.wall_s / many.wall_s:.1f} times as "
                f"soon, at {many.slot_hours / few.slot_hours:.2f} times the slot-hours{_regret(few, many)}."
            )
        idle = [each for each in mine if each.utilisation < 0.5]
        if idle:
            said.append(
                f"{engine}: on {idle[0].slots} slots they are busy {idle[0].utilisation:.0%} of the time; more do not "
                f"pay for {idle[0].trials:g} trials."
            )
        bound = [each for each in mine if each.bound == "engine"]
        if bound:
            said.append(
                f"{engine}: on {bound[0].slots} slots its own {bound[0].engine_s:.1f} s are longer than the "
                f"{bound[0].wall_s:.1f} s of the trials: it would be waited for (--engine-time counts it)."
            )
    return said


def _regret(few: Standing, many: Standing) -> str:
    if few.regret is None or many.regret is None:
        return ""
    return f"; regret {few.regret:.3g} → {many.regret:.3g}"
