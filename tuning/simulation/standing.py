"""What came of simulated searches, by engine and number of slots: medians over the seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from tuning.bench.statistics.anytime import number, sign
from tuning.schema import JsonObject
from tuning.simulation.run import SimulatedRun


@dataclass(frozen=True, kw_only=True)
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

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return asdict(self)


def standings(runs: Sequence[SimulatedRun]) -> list[Standing]:
    """Return one for each engine and number of slots, in the order of the runs."""
    groups: dict[tuple[str, int], list[SimulatedRun]] = {}
    for run in runs:
        groups.setdefault((run.curve.engine, run.slots), []).append(run)
    return [_standing(engine, slots, group) for (engine, slots), group in groups.items()]


def _standing(engine: str, slots: int, runs: Sequence[SimulatedRun]) -> Standing:
    wall_s = median(run.wall_s for run in runs)
    engine_s = median(run.engine_s for run in runs)
    better = sign(runs[0].curve)
    best = [run.curve.values[-1] if run.curve.values else None for run in runs]
    expected = [run.curve.tests[-1] if run.curve.tests else None for run in runs]
    asked_ms = [1000 * seconds for run in runs for seconds in run.curve.asked_s]
    lost = [run.lost_s / run.busy_s if run.busy_s else 0.0 for run in runs]
    return Standing(
        engine=engine,
        slots=slots,
        seeds=len(runs),
        trials=median(len(run.curve.values) for run in runs),
        wall_s=wall_s,
        utilisation=median(run.utilisation for run in runs),
        slot_hours=median(run.slot_hours for run in runs),
        best=_median(best, better),
        expected=_median(expected, better),
        regret=_median([run.regret for run in runs], 1),
        engine_s=engine_s,
        asked_ms=median(asked_ms) if asked_ms else 0.0,
        lost=median(lost),
        bound="engine" if engine_s > wall_s else "slots",
    )


def _median(values: Sequence[float | None], better: int) -> float | None:
    """Return the median, or None where it is that of a search that has no value.

    Args:
        values: Of each search; one without a value is the worst.
        better: 1 where small values are good, else -1.
    """
    return number(median(better * math.inf if value is None else value for value in values))


def sentences(table: Sequence[Standing]) -> list[str]:
    """Say what more slots bring to each engine, and where they cannot be used."""
    lines: list[str] = []
    for engine in dict.fromkeys(standing.engine for standing in table):
        own = [standing for standing in table if standing.engine == engine]
        lines += _sentences_on(engine, sorted(own, key=lambda standing: standing.slots))
    return lines


def _sentences_on(engine: str, own: Sequence[Standing]) -> Iterator[str]:
    """Yield what is to be said of one engine, whose standings go from few slots to many."""
    few, many = own[0], own[-1]
    if few.slots != many.slots and many.wall_s:
        faster = few.wall_s / many.wall_s
        dearer = many.slot_hours / few.slot_hours
        yield (
            f"{engine}: {many.slots} slots instead of {few.slots} end {faster:.1f} times as "
            f"soon, at {dearer:.2f} times the slot-hours{_regret(few, many)}."
        )

    idle = next((standing for standing in own if standing.utilisation < 0.5), None)
    if idle is not None:
        yield (
            f"{engine}: on {idle.slots} slots they are busy {idle.utilisation:.0%} of the time; "
            f"more do not pay for {idle.trials:g} trials."
        )

    bound = next((standing for standing in own if standing.bound == "engine"), None)
    if bound is not None:
        yield (
            f"{engine}: on {bound.slots} slots its own {bound.engine_s:.1f} s are longer than the "
            f"{bound.wall_s:.1f} s of the trials: it would be waited for (--engine-time counts it)."
        )


def _regret(few: Standing, many: Standing) -> str:
    if few.regret is None or many.regret is None:
        return ""
    return f"; regret {few.regret:.3g} → {many.regret:.3g}"
