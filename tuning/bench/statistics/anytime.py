"""Anytime curves: incumbents on one grid of the budget, their regret, the time to reach a target.

A search that has ended keeps its incumbent to the end of the grid: nobody takes a model away.
Before its first completed trial a search has no incumbent, which is worse than any value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from tuning.bench.statistics.records import AnytimeRun

Budget: TypeAlias = Literal["epochs", "seconds"]
Score: TypeAlias = Literal["validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Band:
    """The incumbent of one engine on one study over the budget: median and quartiles over seeds.

    Attributes:
        study: Name of the study.
        engine: Name of the engine.
        runs: How many searches.
        at: The grid, in epochs or seconds.
        median: In the metric's units, one for each point of the grid; None where that quantile is
            a search without a completed trial.
        low: The lower quartile, whatever the direction.
        high: The upper quartile.
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
    ends = [_spent(run, budget) for run in runs]
    return max((float(spent[-1]) for spent in ends if len(spent)), default=0.0)


def grid(runs: Sequence[AnytimeRun], budget: Budget, points: int = 200) -> np.ndarray:
    """Return the common grid: `points` equal steps to the horizon, every epoch if these are fewer.

    Empty where no run has a trial.
    """
    end = horizon(runs, budget)
    if end == 0:
        steps = 0
    elif budget == "epochs":
        steps = min(points, int(end))
    else:
        steps = points
    return np.linspace(0.0, end, steps + 1)[1:]


def incumbents(
    runs: Sequence[AnytimeRun], at: np.ndarray, budget: Budget, score: Score = "validation"
) -> np.ndarray:
    """Return the incumbents' scores at each point of a grid.

    Returns:
        Of shape (run, point); smaller is better, infinity where there is no incumbent.
    """
    table = np.empty((len(runs), len(at)))
    for row, run in zip(table, runs, strict=True):
        # How many trials had ended at each point; before the first there is no incumbent.
        n_ended = np.searchsorted(_spent(run, budget), at, side="right")
        row[:] = np.append(np.inf, oriented(run, score))[n_ended]
    return table


def finals(runs: Sequence[AnytimeRun], score: Score = "validation") -> np.ndarray:
    """Return each run's last incumbent's score: smaller is better, infinity where there is none."""
    return np.array([_last(run, score) for run in runs], dtype=float)


def oriented(run: AnytimeRun, score: Score = "validation") -> np.ndarray:
    """Return a run's scores so that smaller is better; what is not a number becomes infinity."""
    numbers = np.array(_scores(run, score), dtype=float)  # None becomes NaN
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
        _band(engine_runs, at, incumbents(engine_runs, at, budget, score))
        for _, engine_runs in by_engine(runs)
    )


def by_engine(runs: Sequence[AnytimeRun]) -> list[tuple[str, list[AnytimeRun]]]:
    """Return the runs of each engine by seed, engines in order of appearance."""
    engines: dict[str, list[AnytimeRun]] = {}
    for run in runs:
        engines.setdefault(run.engine, []).append(run)

    return [(name, sorted(some, key=lambda run: run.seed)) for name, some in engines.items()]


def scale_of(runs: Sequence[AnytimeRun], best: float | None = None) -> Scale | None:
    """Return the scale of normalised regret on the study of `runs`.

    Args:
        runs: All runs on one study.
        best: The best value known, e.g. a function's optimum; what the runs found wins where it is
            better.

    Returns:
        None where no run completed a trial.
    """
    curves = [oriented(run) for run in runs]
    completed = [curve[np.isfinite(curve)] for curve in curves]
    completed = [curve for curve in completed if len(curve)]
    if not completed:
        return None

    way = sign(runs[0])
    lowest = min(float(curve.min()) for curve in completed)
    if best is not None:
        lowest = min(lowest, way * best)
    first_values = [curve[0] for curve in completed]
    return Scale(best=way * lowest, initial=way * float(np.median(first_values)))


def regret(runs: Sequence[AnytimeRun], at: np.ndarray, budget: Budget, scale: Scale) -> np.ndarray:
    """Return the normalised regret of the incumbents at each point of a grid.

    Returns:
        Of shape (run, point): 0 is the best known, 1 what one trial brings, or no trial yet.
    """
    values = incumbents(runs, at, budget)
    way = sign(runs[0])
    best = way * scale.best
    initial = way * scale.initial
    if initial <= best:  # all runs began with the best known: there is nothing to divide by
        return (values > best).astype(float)
    return np.clip((values - best) / (initial - best), 0.0, 1.0)


def area(runs: Sequence[AnytimeRun], budget: Budget, scale: Scale, end: float) -> np.ndarray:
    """Return each run's mean normalised regret over the budget from 0 to `end`.

    It is the exact area under the curve, which is a step function, over `end`; 1 where `end` is 0.
    """
    return np.array([_area(run, budget, scale, end) for run in runs])


def time_to(runs: Sequence[AnytimeRun], target: float, budget: Budget) -> np.ndarray:
    """Return when each run's incumbent was at least as good as `target`; infinity for never."""
    return np.array([_time_to(run, target, budget) for run in runs])


def quantile(values: np.ndarray, share: float) -> np.ndarray:
    """Return a quantile over the first axis, linear between neighbours.

    It is infinite wherever a neighbour is infinite; NumPy's own would be NaN there.
    """
    finite = np.isfinite(values)
    upper_neighbour = np.quantile(values, share, axis=0, method="higher")

    # Those without a value are the last in order; any number not below the others keeps the order.
    largest = np.where(finite, values, 0.0).max(axis=0, initial=0.0)
    filled = np.where(finite, values, largest)
    return np.where(np.isfinite(upper_neighbour), np.quantile(filled, share, axis=0), np.inf)


def number(value: float | None) -> float | None:
    """Return a finite number as it is, None for any other."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)


def _spent(run: AnytimeRun, budget: Budget) -> np.ndarray:
    """Return what of the budget was used at the end of each trial."""
    spent = run.epochs if budget == "epochs" else run.seconds
    return np.array(spent, dtype=float)


def _scores(run: AnytimeRun, score: Score) -> tuple[float | None, ...]:
    return run.values if score == "validation" else run.tests


def _last(run: AnytimeRun, score: Score) -> float:
    scores = _scores(run, score)
    last = number(scores[-1]) if scores else None
    return np.inf if last is None else sign(run) * last


def _band(runs: Sequence[AnytimeRun], at: np.ndarray, scores: np.ndarray) -> Band:
    """Return the quartiles of `scores`, (run, point), which are turned back into the metric's."""
    first = runs[0]
    way = sign(first)
    smallest, median, largest = (_quartile(way, scores, share) for share in (0.25, 0.5, 0.75))
    if way == -1:  # the best quarter has the largest values
        smallest, largest = largest, smallest

    return Band(
        study=first.study,
        engine=first.engine,
        runs=len(runs),
        at=tuple(at.tolist()),
        median=median,
        low=smallest,
        high=largest,
    )


def _quartile(way: int, scores: np.ndarray, share: float) -> tuple[float | None, ...]:
    values: Iterable[float] = (way * quantile(scores, share)).tolist()
    return tuple(number(value) for value in values)


def _area(run: AnytimeRun, budget: Budget, scale: Scale, end: float) -> float:
    if end <= 0:
        return 1.0

    # From each trial's end to the next the regret is constant; what lies beyond `end` is cut off.
    starts = np.minimum(np.append(0.0, _spent(run, budget)), end)
    widths = np.diff(np.append(starts, end))
    heights = regret([run], starts, budget, scale)[0]
    return float(widths @ heights / end)


def _time_to(run: AnytimeRun, target: float, budget: Budget) -> float:
    reached = np.flatnonzero(oriented(run) <= sign(run) * target)
    if not len(reached):
        return np.inf
    return float(_spent(run, budget)[reached[0]])
