"""`Outcome`: what came of one box and study, and the table of many."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.placement.boxes import Box, Study, draw_box, draw_study, drawn_again
from benchmarks.placement.search import PlannedSearch
from benchmarks.placement.ways import alone_s, split_s
from tuning.executors.devices.slot import Kind
from tuning.executors.placement.model import Timing
from tuning.executors.placement.split import Load, best_split

RIGHT = 1.05
SHORTEST_S = 120.0
"""Searches that the best way does in less are drawn again: nothing is to be planned there."""
LENGTHS_S = (120.0, 600.0, 1800.0, float("inf"))
_NEAR = 1.25  # trials whose gain is so near the limit are right on either kind


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one box and study; seconds on the pretended clock.

    Attributes:
        cpu_s, gpu_s: All on cores, all on GPUs, in the order in which trials come.
        split_s: The best sharing that somebody finds who sees all seconds beforehand.
        knowing_s: Both kinds, by the rules that are under test, knowing all seconds.
        planned_s: As it was planned, knowing nothing.
        mode: What was planned in the end.
        on_right: Part of the trials that ended on the kind that is right for them.
        on_gpu: Part of the trials that ended on GPUs.
        n_moved: Trials begun anew.
        planning_s: Real seconds of computing.
    """

    cpu_s: float
    gpu_s: float
    split_s: float
    knowing_s: float
    planned_s: float
    mode: str
    on_right: float
    on_gpu: float
    n_moved: int
    planning_s: float

    @property
    def best_s(self) -> float:
        """Of the three choices of kinds, each made with known seconds."""
        return min(self.cpu_s, self.gpu_s, self.knowing_s)

    @property
    def alone_s(self) -> float:
        """Of what `--devices cpu` and `--devices gpu` give, the better one."""
        return min(self.cpu_s, self.gpu_s)

    @property
    def clairvoyant_s(self) -> float:
        """Of all on one kind, and the best of many sharings."""
        return min(self.alone_s, self.split_s)

    @property
    def ways(self) -> Mapping[str, float]:
        """The seconds of each choice, made with known seconds, by name."""
        return {"cpu": self.cpu_s, "gpu": self.gpu_s, "both": self.knowing_s}

    @property
    def best(self) -> str:
        """The best choice's name; of two that are equal the simpler one's."""
        ways = {**self.ways, "both": self.knowing_s * 1.001}
        return min(ways, key=lambda way: ways[way])

    @property
    def chosen(self) -> bool:
        """Whether the right kinds were chosen: with known seconds they are as early as the best."""
        return self.mode in self.ways and self.ways[self.mode] <= RIGHT * self.best_s

    @property
    def right(self) -> bool:
        """Whether it was planned right: nothing that could have been chosen is much earlier."""
        return self.planned_s <= RIGHT * self.best_s

    @property
    def cost(self) -> float:
        """What not knowing and computing cost, in parts of the search."""
        return (self.planned_s + self.planning_s) / self.best_s - 1


def outcome_of(seed: int, shortest_s: float = SHORTEST_S, *, again: bool = False) -> Outcome:
    """Draw a box and a study until a search there is long enough, and run it every way.

    Args:
        seed: Of the box.
        shortest_s: Of a search that is long enough, in seconds.
        again: Look at a second search of the study, which knows what the first has measured.
    """
    rng = np.random.default_rng(seed)
    while True:
        box = draw_box(rng)
        study = draw_study(rng, box)
        cpu_s = alone_s(study, "cpu", box.cores)
        gpu_s = alone_s(study, "gpu", box.gpus)
        # Two kinds are at best as fast as both together.
        if 1 / (1 / cpu_s + 1 / gpu_s) < shortest_s:
            continue
        shared_s = split_s(study, box)
        shortest = min(cpu_s, gpu_s, shared_s)
        if shortest >= shortest_s:
            break
    tick_s = max(0.5, shortest / 1000)
    timings: Sequence[Timing] = ()
    if again:
        first = PlannedSearch(box, study)
        first.seconds(tick_s)
        timings = [replace(each, noise=0.3) for each in first.placement.timings[-200:]]
        study = drawn_again(rng, box, study)
        cpu_s = alone_s(study, "cpu", box.cores)
        gpu_s = alone_s(study, "gpu", box.gpus)
        shared_s = split_s(study, box)
    search = PlannedSearch(box, study, timings=timings)
    planned_s = search.seconds(tick_s)
    return Outcome(
        cpu_s=cpu_s,
        gpu_s=gpu_s,
        split_s=shared_s,
        knowing_s=PlannedSearch(box, study, knows_all=True).seconds(tick_s),
        planned_s=planned_s,
        mode=search.placement.mode,
        on_right=_on_right(box, study, search.places),
        on_gpu=statistics.mean(kind == "gpu" for kind in search.places.values()),
        n_moved=search.n_moved,
        planning_s=search.planning_s,
    )


def _on_right(box: Box, study: Study, places: Mapping[str, Kind]) -> float:
    """Return the part of the trials on the kind that is right for them.

    That is where they run in the best sharing of all of them by their gain, trials taken as what
    flows; those near its limit are right on either.
    """
    cpu_s = np.array([trial.seconds("cpu") for trial in study.trials])
    gpu_s = np.array([trial.seconds("gpu") for trial in study.trials])

    def split(n_cores: int, n_gpus: int) -> Any:
        n_slots: dict[Kind, int] = {"cpu": n_cores, "gpu": n_gpus}
        counts = np.ones(len(cpu_s))
        are_sure = counts > 0
        load = Load(cpu_s=cpu_s, gpu_s=gpu_s, counts=counts, are_sure=are_sure, n_slots=n_slots)
        return best_split(load)

    beside = box.cores - box.gpus * box.feeding
    best = min(
        split(box.cores, 0),
        split(0, box.gpus),
        split(beside, box.gpus),
        key=lambda each: each.seconds,
    )
    n_right = 0
    for trial, gain in zip(study.trials, cpu_s / gpu_s, strict=True):
        is_near = best.gain / _NEAR <= gain <= best.gain * _NEAR
        kind = "gpu" if gain >= best.gain else "cpu"
        n_right += is_near or places[trial.work.key] == kind
    return n_right / len(study.trials)


# --- the table ---


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the figures in Markdown, a row for each best choice and each length."""
    lines = [
        "| | boxes | right kinds | right | trials on the right kind "
        "| planned / best choice: median, 90 %, 95 % "
        "| not later than the better kind alone | / the better kind alone | / clairvoyant "
        "| cost: mean, median |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, holds in _groups().items():
        group = [each for each in outcomes if holds(each)]
        if group:
            lines.append(_row(name, group))
    return "\n".join(lines)


def _groups() -> dict[str, Callable[[Outcome], bool]]:
    groups: dict[str, Callable[[Outcome], bool]] = {
        "best: cores alone": lambda each: each.best == "cpu",
        "best: GPUs alone": lambda each: each.best == "gpu",
        "best: both": lambda each: each.best == "both",
    }
    for least, most in itertools.pairwise(LENGTHS_S):
        name = f"{least / 60:g} to {most / 60:g} minutes"
        groups[name] = lambda each, least=least, most=most: least <= each.best_s < most  # type: ignore[misc]
    groups["all"] = lambda each: True
    return groups


def _row(name: str, group: Sequence[Outcome]) -> str:
    ratios = [each.planned_s / each.best_s for each in group]
    costs = [each.cost for each in group]
    cells = [
        name,
        f"{len(group)}",
        f"{statistics.mean(each.chosen for each in group):.1%}",
        f"{statistics.mean(each.right for each in group):.1%}",
        f"{statistics.mean(each.on_right for each in group):.1%}",
        ", ".join(f"{np.quantile(ratios, share):.3f}" for share in (0.5, 0.9, 0.95)),
        f"{statistics.mean(each.planned_s <= 1.005 * each.alone_s for each in group):.1%}",
        f"{statistics.median(each.planned_s / each.alone_s for each in group):.2f}",
        f"{statistics.median(each.planned_s / each.clairvoyant_s for each in group):.3f}",
        f"{statistics.mean(costs):.1%}, {statistics.median(costs):.1%}",
    ]
    return f"| {' | '.join(cells)} |"
