"""Every two engines of one study, paired by seed: which is better, and is that more than chance."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from tuning.bench.statistics import significance
from tuning.bench.statistics.anytime import Score, finals
from tuning.bench.statistics.records import AnytimeRun
from tuning.bench.statistics.significance import Interval, SignedRank, signed_rank

Verdict: TypeAlias = Literal["supported", "not supported", "too few seeds", "equal", "no pairs"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two engines on one study, paired by seed; `first` is the one that the ranks favour.

    Attributes:
        n: Seeds that both have.
        wins: Seeds on which `first` is better.
        ties: Seeds on which both are equal.
        losses: Seeds on which `second` is better.
        gain: By how much `first` is better: the median of the paired differences, in the metric's
            units.
        interval: Bootstrap interval of `gain`.
        effect: Rank-biserial correlation, 0 (no lean) to 1 (first is always better).
        p: Of the signed-rank test.
        p_holm: The same, corrected for all pairs of the study.
        verdict: Whether the difference is supported, or why that cannot be.
        seeds_more: Seeds that are missing for an 80 % chance to support a difference of this size;
            0 where it is supported, None where there is none.
        test_gain: As `gain`, by test score.
        test_p: As `p`, by test score; only where the difference is supported.
    """

    first: str
    second: str
    n: int
    wins: int
    ties: int
    losses: int
    gain: float | None
    interval: Interval | None
    effect: float
    p: float
    p_holm: float
    verdict: Verdict
    seeds_more: int | None
    test_gain: float | None
    test_p: float | None


def compare(
    engines: Mapping[str, Sequence[AnytimeRun]], *, alpha: float = 0.05, resamples: int = 9999
) -> tuple[Pair, ...]:
    """Compare every two engines of one study.

    Args:
        engines: The runs of each.
        alpha: Level of the verdicts over all pairs together; intervals cover 1 - alpha.
        resamples: Of the bootstrap; 0: no intervals.
    """
    scores = {name: by_seed(runs) for name, runs in engines.items()}
    duels = [
        _duel(first, second, paired(scores[first], scores[second]))
        for first, second in itertools.combinations(scores, 2)
    ]
    adjusted = significance.holm([duel.test.p for duel in duels])

    pairs = []
    for duel, p_holm in zip(duels, adjusted.tolist(), strict=True):
        verdict = _verdict(duel.gains, p_holm, alpha, len(duels))
        if verdict == "supported":
            seeds_more: int | None = 0
        else:
            seeds_more = _seeds_more(duel, alpha / len(duels))

        on_test = _gains_on_test(engines[duel.first], engines[duel.second])
        # The test score is asked about only where the first question is answered.
        is_tested = verdict == "supported" and len(on_test.values) > 0
        pairs.append(
            Pair(
                first=duel.first,
                second=duel.second,
                n=len(duel.gains),
                wins=int((duel.gains > 0).sum()),
                ties=int((duel.gains == 0).sum()),
                losses=int((duel.gains < 0).sum()),
                gain=significance.median(duel.gains),
                interval=significance.median_interval(
                    duel.gains, level=1 - alpha, resamples=resamples
                ),
                effect=abs(duel.test.effect),
                p=duel.test.p,
                p_holm=p_holm,
                verdict=verdict,
                seeds_more=seeds_more,
                test_gain=significance.median(on_test.values),
                test_p=signed_rank(on_test.values, on_test.sizes).p if is_tested else None,
            )
        )
    return tuple(pairs)


def by_seed(runs: Sequence[AnytimeRun], score: Score = "validation") -> dict[int, float]:
    """Return the score of each run's last incumbent by seed.

    Smaller is better; infinity where there is no incumbent.
    """
    scores = finals(runs, score).tolist()
    return {run.seed: value for run, value in zip(runs, scores, strict=True)}


@dataclass(frozen=True, kw_only=True)
class Gains:
    """By how much one engine is better than another, one number a seed.

    Attributes:
        values: `(seeds,)`; infinite where one side has no value, 0 where neither has.
        sizes: `(seeds,)`, the larger of the two scores without its sign: how exact a gain is
            depends on it.
    """

    values: np.ndarray
    sizes: np.ndarray


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Gains:
    """Return by how much `first` is better on each seed that both have.

    Args:
        first: Scores by seed, where smaller is better. Infinity stands for no value: it is worse
            than any value, and two of them are equal.
        second: The same of the other engine.
    """
    gains = []
    sizes = []
    for seed in sorted(first.keys() & second.keys()):
        is_equal = first[seed] == second[seed]  # inf - inf would be NaN
        gains.append(0.0 if is_equal else second[seed] - first[seed])
        sizes.append(max(abs(first[seed]), abs(second[seed])))
    return Gains(values=np.array(gains), sizes=np.array(sizes))


@dataclass(frozen=True)
class _Duel:
    """Two engines on the seeds that both have; `first` is the one that the ranks favour."""

    first: str
    second: str
    gains: np.ndarray
    test: SignedRank


def _duel(one: str, other: str, gains: Gains) -> _Duel:
    test = signed_rank(gains.values, gains.sizes)
    if test.effect >= 0:
        return _Duel(one, other, gains.values, test)
    return _Duel(other, one, -gains.values, test)


def _verdict(gains: np.ndarray, p: float, alpha: float, pairs: int) -> Verdict:
    if not len(gains):
        return "no pairs"
    if p <= alpha:
        return "supported"
    if not gains.any():
        return "equal"
    if len(gains) < significance.fewest_pairs(alpha / pairs):
        return "too few seeds"
    return "not supported"


def _seeds_more(duel: _Duel, level: float) -> int | None:
    needed = significance.pairs_needed(duel.test.effect, level)
    return None if needed is None else max(1, needed - len(duel.gains))


def _gains_on_test(first: Sequence[AnytimeRun], second: Sequence[AnytimeRun]) -> Gains:
    """Return the paired differences by test score; none where no run has a test score."""
    first_scores = _test_scores(first)
    second_scores = _test_scores(second)
    if not np.isfinite([*first_scores.values(), *second_scores.values()]).any():
        return paired({}, {})
    return paired(first_scores, second_scores)


def _test_scores(runs: Sequence[AnytimeRun]) -> dict[int, float]:
    """Return test scores by seed.

    A search without a model is the worst. One that has a model, but of which the test score was
    lost, is left out.
    """
    validation = by_seed(runs)
    return {
        seed: score
        for seed, score in by_seed(runs, "test").items()
        if np.isfinite(score) or not np.isfinite(validation[seed])
    }
