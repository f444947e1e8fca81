"""What a benchmark's runs say: per engine, per pair of engines, over studies.

    statistics = analyse(runs)         # any number of studies, engines and seeds
    statistics.studies[0].engines      # medians, intervals, regret, area, time to a target
    statistics.studies[0].pairs        # every two engines, paired by seed: which one is better
    statistics.ranks                   # mean ranks over two or more studies, Friedman, Nemenyi

`bench/report/words.py` writes it in sentences.

One question is asked of each pair: whose last incumbent has the better validation value? Signed
ranks over the seeds that both have, Holm over the pairs of a study. The test score is asked about
only where that is answered (a fixed sequence), so that two engines that are the same are told apart
in at most `alpha` of all benchmarks, test or not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from tuning.bench.statistics import anytime, significance
from tuning.bench.statistics.anytime import Budget, Scale, Score
from tuning.bench.statistics.pairs import Pair, by_seed, compare
from tuning.bench.statistics.ranks import Ranks, rank_studies
from tuning.bench.statistics.records import AnytimeRun
from tuning.bench.statistics.significance import Interval
from tuning.errors import StudyError
from tuning.study.display.html import block, table


@dataclass(frozen=True, kw_only=True)
class EngineFigures:
    """One engine on one study, medians over its seeds; None where half of them have no value.

    Attributes:
        engine: Its name, with its pruner.
        runs: Searches.
        with_value: Searches with a completed trial.
        validation: Validation value of the last incumbent.
        validation_interval: Bootstrap interval of this median; None for fewer than two runs.
        test: Test score of the last incumbent.
        test_interval: As `validation_interval`.
        regret: Normalised regret of the last incumbent, 0 (best known) to 1 (no better than one
            trial).
        area: Mean normalised regret over the budget: the area under the anytime curve; smaller is
            better.
        reached: How many runs reached the study's target.
        time_to_target: In the unit of the budget; None where fewer than half of the runs reached
            it.
        rank: Mean rank over the seeds that all engines have; None where there is none.
        asked_s: The engine's own seconds for a proposal, median over all.
    """

    engine: str
    runs: int
    with_value: int
    validation: float | None
    validation_interval: Interval | None
    test: float | None
    test_interval: Interval | None
    regret: float | None
    area: float | None
    reached: int
    time_to_target: float | None
    rank: float | None
    asked_s: float | None


@dataclass(frozen=True, kw_only=True)
class StudyFigures:
    """One study.

    Attributes:
        study: Its name.
        metric: Its objective, e.g. `val_rmse`.
        direction: "minimize" or "maximize".
        end: The budget over which `area` is taken: the largest that any run used.
        scale: What normalised regret is measured by; None where nothing was completed.
        target: What `time_to_target` asks for: given, or the worst engine's median, so that all can
            reach it.
        engines: The best median first.
        pairs: Every two engines.
        seeds_needed: Seeds without which no pair can be supported, whatever the scores.
    """

    study: str
    metric: str
    direction: str
    end: float
    scale: Scale | None
    target: float | None
    engines: tuple[EngineFigures, ...]
    pairs: tuple[Pair, ...]
    seeds_needed: int


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Statistics:
    """What the runs say.

    Attributes:
        alpha: Level of every verdict.
        budget: What curves, areas and times are measured in.
        studies: In order of appearance.
        ranks: Over the studies; None for fewer than two studies or engines.
    """

    alpha: float
    budget: Budget
    studies: tuple[StudyFigures, ...]
    ranks: Ranks | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    def __repr__(self) -> str:
        firsts = ", ".join(
            f"{study.study}: {study.engines[0].engine} first of {len(study.engines)}"
            for study in self.studies
            if study.engines
        )
        return f"Statistics({firsts or 'no runs'})"

    def _repr_html_(self) -> str:
        head = ("engine", "searches", "validation", "test", "mean rank")
        tables = []
        for study in self.studies:
            rows = [
                (each.engine, each.runs, *map(_figure, (each.validation, each.test, each.rank)))
                for each in study.engines
            ]
            note = f"medians over seeds; fewer than {study.seeds_needed} support no difference"
            tables.append(block(f"{study.study}: {study.metric}", table(head, rows), note=note))
        return "".join(tables)


def analyse(
    runs: Sequence[AnytimeRun],
    *,
    budget: Budget = "epochs",
    alpha: float = 0.05,
    best: Mapping[str, float] | None = None,
    targets: Mapping[str, float] | None = None,
    resamples: int = 9999,
) -> Statistics:
    """Return what the runs say.

    Args:
        runs: Any studies, engines and seeds; at most one run for each three of them.
        budget: What curves, areas and times are measured in.
        alpha: Level of every verdict; intervals cover 1 - alpha.
        best: The best value known, by study, e.g. a function's optimum.
        targets: The value to be reached, by study.
        resamples: Of the bootstrap and, where all permutations are too many, of Friedman's test.

    Raises:
        StudyError: Two runs of one study, engine and seed; runs of one study that differ in metric
            or direction.
    """
    _check(runs)
    studies = _by_study(runs)

    figures = []
    for name, study_runs in studies.items():
        frame = _frame(
            study_runs,
            budget,
            best=None if best is None else best.get(name),
            target=None if targets is None else targets.get(name),
        )
        figures.append(_study_figures(study_runs, frame, alpha, resamples))

    return Statistics(
        alpha=alpha,
        budget=budget,
        studies=tuple(figures),
        ranks=rank_studies(studies, alpha=alpha, resamples=resamples),
    )


def _by_study(runs: Sequence[AnytimeRun]) -> dict[str, list[AnytimeRun]]:
    studies: dict[str, list[AnytimeRun]] = {}
    for run in runs:
        studies.setdefault(run.study, []).append(run)
    return studies


def _check(runs: Sequence[AnytimeRun]) -> None:
    faults = []
    searches = Counter((run.study, run.engine, run.seed) for run in runs)
    for (study, engine, seed), count in searches.items():
        if count > 1:
            faults.append(f"{study} · {engine} · seed {seed} is there twice")

    for study, study_runs in _by_study(runs).items():
        objectives = sorted({f"{run.direction} {run.metric}" for run in study_runs})
        if len(objectives) > 1:
            listed = " and for ".join(objectives)
            faults.append(f"'{study}' was searched for {listed}: these cannot be compared")
    if faults:
        raise StudyError(faults, where="benchmark")


@dataclass(frozen=True)
class _Frame:
    """What the runs of one study are measured in and by; see `StudyFigures`."""

    budget: Budget
    end: float
    scale: Scale | None
    target: float | None


def _frame(
    runs: Sequence[AnytimeRun], budget: Budget, *, best: float | None, target: float | None
) -> _Frame:
    if target is None:
        target = _worst_median(runs)
    return _Frame(
        budget=budget,
        end=anytime.horizon(runs, budget),
        scale=anytime.scale_of(runs, best),
        target=target,
    )


def _worst_median(runs: Sequence[AnytimeRun]) -> float | None:
    """Return the worst engine's median in the metric's units; None where no engine has one."""
    medians = []
    for _, engine_runs in anytime.by_engine(runs):
        median = significance.median(anytime.finals(engine_runs))
        if median is not None:
            medians.append(median)
    return anytime.sign(runs[0]) * max(medians) if medians else None


def _study_figures(
    runs: Sequence[AnytimeRun], frame: _Frame, alpha: float, resamples: int
) -> StudyFigures:
    engines = dict(anytime.by_engine(runs))
    ranks = _seed_ranks(engines)
    figures = []
    for name, engine_runs in engines.items():
        validation = _middle(engine_runs, "validation", alpha, resamples)
        test = _middle(engine_runs, "test", alpha, resamples)
        figures.append(_engine_figures(engine_runs, frame, validation, test, ranks.get(name)))

    first = runs[0]
    pairs = compare(engines, alpha=alpha, resamples=resamples)
    return StudyFigures(
        study=first.study,
        metric=first.metric,
        direction=first.direction,
        end=frame.end,
        scale=frame.scale,
        target=frame.target,
        engines=_best_first(figures, anytime.sign(first)),
        pairs=pairs,
        seeds_needed=significance.fewest_pairs(alpha / max(1, len(pairs))),
    )


def _best_first(figures: Sequence[EngineFigures], way: int) -> tuple[EngineFigures, ...]:
    """Return the engines by their median; those without one are the last."""

    def place(engine: EngineFigures) -> float:
        return math.inf if engine.validation is None else way * engine.validation

    return tuple(sorted(figures, key=place))


class _Middle(NamedTuple):
    """The median of the scores of an engine's runs, in the metric's units, and its interval."""

    median: float | None
    interval: Interval | None


def _middle(runs: Sequence[AnytimeRun], score: Score, alpha: float, resamples: int) -> _Middle:
    oriented = anytime.finals(runs, score)
    if not np.isfinite(oriented).any():  # no run has a score
        return _Middle(None, None)
    scores = anytime.sign(runs[0]) * oriented
    interval = significance.median_interval(scores, level=1 - alpha, resamples=resamples)
    return _Middle(significance.median(scores), interval)


def _engine_figures(
    runs: Sequence[AnytimeRun],
    frame: _Frame,
    validation: _Middle,
    test: _Middle,
    rank: float | None,
) -> EngineFigures:
    regret = area = None
    if frame.scale is not None:
        at_the_end = np.array([frame.end])
        regrets = anytime.regret(runs, at_the_end, frame.budget, frame.scale)[:, 0]
        areas = anytime.area(runs, frame.budget, frame.scale, frame.end)
        regret = significance.median(regrets)
        area = significance.median(areas)

    times = np.full(len(runs), np.inf)
    if frame.target is not None:
        times = anytime.time_to(runs, frame.target, frame.budget)

    asked_s = [seconds for run in runs for seconds in run.asked_s]
    return EngineFigures(
        engine=runs[0].engine,
        runs=len(runs),
        with_value=int(np.isfinite(anytime.finals(runs)).sum()),
        validation=validation.median,
        validation_interval=validation.interval,
        test=test.median,
        test_interval=test.interval,
        regret=regret,
        area=area,
        reached=int(np.isfinite(times).sum()),
        time_to_target=significance.median(times),
        rank=rank,
        asked_s=float(np.median(asked_s)) if asked_s else None,
    )


def _seed_ranks(engines: Mapping[str, Sequence[AnytimeRun]]) -> dict[str, float]:
    """Return each engine's mean rank over the seeds that all have; empty where there are none."""
    scores = {name: by_seed(runs) for name, runs in engines.items()}
    seeds = sorted(set.intersection(*(set(of_engine) for of_engine in scores.values())))
    if not seeds:
        return {}

    table = np.array([[of_engine[seed] for of_engine in scores.values()] for seed in seeds])
    ranks = significance.mean_ranks(table).tolist()
    return dict(zip(scores, ranks, strict=True))
