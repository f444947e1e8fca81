"""Anytime curves: the incumbent of many searches on one grid of the budget, its regret, the time to
reach a target.

A search that has ended keeps its incumbent to the end of the grid: nobody takes a found model away.
Before its first completed trial a search has no incumbent, which is worse than any value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from tuning.bench.statistics.records import AnytimeRun

Budget: TypeAlias = Literal["epochs", "seconds"]
Score: TypeAlias = Literal["validation", "test"]


@dataclass(frozen=True)
class Band:
    """The incumbent of one engine on one study over the budget: median and quartiles over its
    seeds.

    Attributes:
        at: The grid, in epochs or seconds.
        median, low, high: In the metric's units; `low` is the lower quartile whatever the
            direction. None where the quantile is a search without a completed trial.
    """

    study: str
    engine: str
    runs: int
    at: tuple[float, ...]
    median: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True)
class Scale:
    """What normalised regret is measured by: 0 is `best`, 1 is `initial`, beyond is cut off.

    Attributes:
        best: The best validation value known on this study: of any run of any engine, or given.
        initial: The median, over all runs, of the first completed trial's value: what one trial
            brings.
    """

    best: float
    initial: float


def horizon(runs: Sequence[AnytimeRun], budget: Budget) -> float:
    """Return the largest budget that any run used; 0 where none has a trial."""
    return max((float(ends[-1]) for run in runs if (ends := getattr(run, budget))), default=0.0)


def grid(runs: Sequence[AnytimeRun], budget: Budget, points: int = 200) -> np.ndarray:
    """Return the common grid: `points` equal steps to the horizon; every epoch where these are
    fewer.
    """
    end = horizon(runs, budget)
    steps = min(points, int(end)) if budget == "epochs" else points * (end > 0)
    return np.linspace(0.0, end, steps + 1)[1:]


def incumbents(
    runs: Sequence[AnytimeRun], at: np.ndarray, budget: Budget, score: Score = "validation"
) -> np.ndarray:
    """Return the incumbents' scores as (run, point), smaller is better; infinity where there is
    none.
    """
    return np.array([_incumbent(run, at, budget, score) for run in runs]).reshape(
        len(runs), len(at)
    )


def finals(runs: Sequence[AnytimeRun], score: Score = "validation") -> np.ndarray:
    """Return the score of each run's last incumbent, smaller is better; infinity where there is
    none.
    """
    return np.array([_last(run, score) for run in runs], dtype=float)


def oriented(run: AnytimeRun, score: Score = "validation") -> np.ndarray:
    """Return a run's scores so that smaller is better; None and what is not a number become
    infinity.
    """
    values = run.values if score == "validation" else run.tests
    numbers = np.array([np.nan if value is None else float(value) for value in values], dtype=float)
    return np.where(np.isfinite(numbers), sign(run) * numbers, np.inf)


def sign(run: AnytimeRun) -> int:
    """Return what a score is multiplied by so that smaller is better."""
    return 1 if run.direction == "minimize" else -1


def bands(
    runs: Sequence[AnytimeRun],
    budget: Budget = "epochs",
    score: Score = "validation",
    points: int = 200,
) -> tuple[Band, ...]:
    """Return a band for each engine, in order of appearance; `runs` are of one study."""
    at = grid(runs, budget, points)
    return tuple(
        _band(engine, some, at, incumbents(some, at, budget, score))
        for engine, some in by_engine(runs)
    )


def by_engine(runs: Sequence[AnytimeRun]) -> list[tuple[str, list[AnytimeRun]]]:
    """Return the runs of each engine by seed, engines in order of appearance."""
    names = dict.fromkeys(run.engine for run in runs)
    return [
        (name, sorted((r for r in runs if r.engine == name), key=lambda r: r.seed))
        for name in names
    ]


def scale_of(runs: Sequence[AnytimeRun], best: float | None = None) -> Scale | None:
    """Return the scale of normalised regret on the study of `runs`; None where no run completed a
    trial.

    Args:
        runs: All runs on one study.
        best: The best value known, e.g. a function's optimum; what the runs found wins where it is
            better.
    """
    curves = [values[np.isfinite(values)] for values in map(oriented, runs)]
    found = [values for values in curves if len(values)]
    if not found:
        return None
    way = sign(runs[0])
    known = [float(values.min()) for values in found] + ([] if best is None else [way * best])
    return Scale(way * min(known), way * float(np.median([values[0] for values in found])))


def regret(runs: Sequence[AnytimeRun], at: np.ndarray, budget: Budget, scale: Scale) -> np.ndarray:
    """Return the normalised regret of the incumbents as (run, point), 0 (best known) to 1 (initial,
    or none yet).
    """
    values = incumbents(runs, at, budget)
    best, initial = sign(runs[0]) * scale.best, sign(runs[0]) * scale.initial
    if initial <= best:
        return (values > best).astype(float)
    return np.clip((values - best) / (initial - best), 0.0, 1.0)


def area(runs: Sequence[AnytimeRun], budget: Budget, scale: Scale, end: float) -> np.ndarray:
    """Return each run's mean normalised regret over the budget from 0 to `end`: the area under its
    curve, exactly.
    """
    return np.array([_area(run, budget, scale, end) for run in runs])


def time_to(runs: Sequence[AnytimeRun], target: float, budget: Budget) -> np.ndarray:
    """Return the budget after which each run's incumbent was at least as good as `target`; infinity
    for never.
    """
    return np.array([_time_to(run, target, budget) for run in runs])


def quantile(values: np.ndarray, share: float) -> np.ndarray:
    """Return a quantile over the first axis, linear between neighbours; infinity wherever a
    neighbour is infinite.
    """
    upper = np.quantile(values, share, axis=0, method="higher")
    finite = np.where(np.isfinite(values), values, 0.0)
    # Those without a value are the last in order; any number not below the others keeps the order.
    filled = np.where(np.isfinite(values), values, finite.max(axis=0, initial=0.0))
    return np.where(np.isfinite(upper), np.quantile(filled, share, axis=0), np.inf)


def number(value: Any) -> float | None:
    """Return a finite number as it is, None for any other."""
    return float(value) if value is not None and math.isfinite(value) else None


def _incumbent(run: AnytimeRun, at: np.ndarray, budget: Budget, score: Score) -> np.ndarray:
    place = np.searchsorted(np.asarray(getattr(run, budget), dtype=float), at, side="right")
    return np.concatenate([[np.inf], oriented(run, score)])[place]


def _last(run: AnytimeRun, score: Score) -> float:
    scores = run.values if score == "validation" else run.tests
    last = number(scores[-1]) if scores else None
    return np.inf if last is None else sign(run) * last


def _band(engine: str, runs: Sequence[AnytimeRun], at: np.ndarray, scores: np.ndarray) -> Band:
    way = sign(runs[0])
    low, median, high = (way * quantile(scores, share) for share in (0.25, 0.5, 0.75))
    ends = (median, low, high) if way == 1 else (median, high, low)
    series = (tuple(number(value) for value in values) for values in ends)
    return Band(runs[0].study, engine, len(runs), tuple(float(x) for x in at), *series)


def _area(run: AnytimeRun, budget: Budget, scale: Scale, end: float) -> float:
    steps = np.minimum(np.concatenate([[0.0], np.asarray(getattr(run, budget), dtype=float)]), end)
    lasts = np.diff(np.append(steps, end))
    return float(lasts @ regret([run], steps, budget, scale)[0] / end) if end > 0 else 1.0


def _time_to(run: AnytimeRun, target: float, budget: Budget) -> float:
    reached = np.flatnonzero(oriented(run) <= sign(run) * target)
    return float(getattr(run, budget)[reached[0]]) if len(reached) else np.inf
