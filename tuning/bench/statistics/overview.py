"""What a benchmark's runs say: per engine, per pair of engines, over studies. `words` tells it in
sentences.

    found = analyse(runs)               # any number of studies, engines and seeds
    found.studies[0].engines            # medians, intervals, regret, area, time to a target
    found.studies[0].pairs              # every two engines, paired by seed: supported or not, seeds
    missing
    found.ranks                         # mean ranks over two or more studies, Friedman, Nemenyi

One question is asked of each pair: whose last incumbent has the better validation value? Signed
ranks over the seeds that both have, Holm over the pairs of a study. The test score is asked about
only where that is answered (a fixed sequence), so that two engines that are the same are told apart
in at most `alpha` of all benchmarks, test or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tuning.bench.statistics import anytime, significance
from tuning.bench.statistics.anytime import Budget, Scale
from tuning.bench.statistics.pairs import Pair, by_seed, compare
from tuning.bench.statistics.ranks import Ranks, rank_studies
from tuning.bench.statistics.records import AnytimeRun
from tuning.bench.statistics.significance import Interval
from tuning.errors import StudyError


@dataclass(frozen=True)
class EngineFigures:
    """One engine on one study, medians over its seeds; None where half of them have no value.

    Attributes:
        runs, with_value: Searches, and those of them with a completed trial.
        validation, test: Scores of the last incumbent.
        validation_interval, test_interval: Bootstrap intervals of these medians; None for fewer
            than two runs.
        regret: Normalised regret of the last incumbent, 0 (best known) to 1 (no better than one
            trial).
        area: Mean normalised regret over the budget: the area under the anytime curve; smaller is
            better.
        reached: How many runs came as far as the study's target.
        time_to_target: In the unit of the budget; None where fewer than half of the runs came so
            far.
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


@dataclass(frozen=True)
class StudyFigures:
    """One study.

    Attributes:
        end: The budget over which `area` is taken: the largest that any run used.
        scale: What normalised regret is measured by; None where nothing was completed.
        target: What `time_to_target` asks for: given, or the worst engine's median, so that all can
            reach it.
        engines: The best median first.
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


@dataclass(frozen=True)
class Statistics:
    """All of it. `ranks` is None for fewer than two studies or engines."""

    alpha: float
    budget: Budget
    studies: tuple[StudyFigures, ...]
    ranks: Ranks | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


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
    names = dict.fromkeys(run.study for run in runs)
    studies = {name: [run for run in runs if run.study == name] for name in names}
    figures = tuple(
        _study(
            some,
            _Frame.of(some, budget, (best or {}).get(name), (targets or {}).get(name)),
            alpha,
            resamples,
        )
        for name, some in studies.items()
    )
    return Statistics(
        alpha, budget, figures, rank_studies(studies, alpha=alpha, resamples=resamples)
    )


@dataclass(frozen=True)
class _Frame:
    """What the runs of one study are measured in and by."""

    budget: Budget
    end: float
    scale: Scale | None
    target: float | None

    @classmethod
    def of(
        cls, runs: list[AnytimeRun], budget: Budget, best: float | None, target: float | None
    ) -> _Frame:
        if target is None:
            medians = [
                significance.median(anytime.finals(some)) for _, some in anytime.by_engine(runs)
            ]
            reached = [median for median in medians if median is not None]
            target = anytime.sign(runs[0]) * max(reached) if reached else None
        return cls(budget, anytime.horizon(runs, budget), anytime.scale_of(runs, best), target)


def _check(runs: Sequence[AnytimeRun]) -> None:
    keys = [(run.study, run.engine, run.seed) for run in runs]
    faults = [
        f"{s} · {e} · seed {i} is there twice"
        for s, e, i in dict.fromkeys(k for k in keys if keys.count(k) > 1)
    ]
    for study in dict.fromkeys(run.study for run in runs):
        asked = sorted({f"{run.direction} {run.metric}" for run in runs if run.study == study})
        if len(asked) > 1:
            faults.append(
                f"'{study}' was searched for {' and for '.join(asked)}: these cannot be compared"
            )
    if faults:
        raise StudyError(faults, where="benchmark")


def _study(runs: list[AnytimeRun], frame: _Frame, alpha: float, resamples: int) -> StudyFigures:
    engines = dict(anytime.by_engine(runs))
    way, first = anytime.sign(runs[0]), runs[0]
    ranks = _seed_ranks(engines)
    figures = []
    for name, some in engines.items():
        validation, test = (
            _score(anytime.finals(some, score), way, alpha, resamples)
            for score in ("validation", "test")
        )
        figures.append(_engine(some, frame, (*validation, *test), ranks.get(name)))
    figures.sort(key=lambda found: np.inf if found.validation is None else way * found.validation)
    pairs = compare(engines, alpha=alpha, resamples=resamples)
    return StudyFigures(
        first.study,
        first.metric,
        first.direction,
        frame.end,
        frame.scale,
        frame.target,
        tuple(figures),
        pairs,
        significance.fewest_pairs(alpha / max(1, len(pairs))),
    )


def _score(
    scores: np.ndarray, way: int, alpha: float, resamples: int
) -> tuple[float | None, Interval | None]:
    """Return the median of the scores and its interval, as the metric has them; None where no run
    has a score.
    """
    if not np.isfinite(scores).any():
        return None, None
    interval = significance.median_interval(way * scores, level=1 - alpha, resamples=resamples)
    return significance.median(way * scores), interval


def _engine(
    runs: list[AnytimeRun],
    frame: _Frame,
    scores: tuple[float | None, Interval | None, float | None, Interval | None],
    rank: float | None,
) -> EngineFigures:
    times = np.full(len(runs), np.inf)
    if frame.target is not None:
        times = anytime.time_to(runs, frame.target, frame.budget)
    regret = area = None
    if frame.scale is not None:
        end = np.array([frame.end])
        regret = significance.median(anytime.regret(runs, end, frame.budget, frame.scale)[:, 0])
        area = significance.median(anytime.area(runs, frame.budget, frame.scale, frame.end))
    asked = [seconds for run in runs for seconds in run.asked_s]
    return EngineFigures(
        runs[0].engine,
        len(runs),
        int(np.isfinite(anytime.finals(runs)).sum()),
        *scores,
        regret,
        area,
        int(np.isfinite(times).sum()),
        significance.median(times),
        rank,
        float(np.median(asked)) if asked else None,
    )


def _seed_ranks(engines: Mapping[str, list[AnytimeRun]]) -> dict[str, float]:
    scores = {name: by_seed(some) for name, some in engines.items()}
    seeds = sorted(set.intersection(*map(set, scores.values())))
    if not seeds:
        return {}
    ranks = significance.mean_ranks(
        np.array([[by_seed[seed] for by_seed in scores.values()] for seed in seeds])
    )
    return dict(zip(scores, map(float, ranks), strict=True))
