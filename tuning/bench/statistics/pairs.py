"""Every two engines of one study, paired by seed: whose last incumbent is better, and is that more
than chance.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from tuning.bench.statistics import significance
from tuning.bench.statistics.anytime import Score, finals
from tuning.bench.statistics.records import AnytimeRun
from tuning.bench.statistics.significance import Interval, signed_rank

Verdict: TypeAlias = Literal["supported", "not supported", "too few seeds", "equal", "no pairs"]


@dataclass(frozen=True)
class Pair:
    """Two engines on one study, paired by seed; `first` is the one that the ranks favour.

    Attributes:
        n: Seeds that both have.
        wins, ties, losses: Of `first`.
        gain: By how much `first` is better: the median of the paired differences, in the metric's
            units.
        interval: Bootstrap interval of `gain`.
        effect: Rank-biserial correlation, 0 (no lean) to 1 (first is always better).
        p, p_holm: Of the signed-rank test; corrected for all pairs of the study.
        verdict: Whether the difference is supported, or why that cannot be.
        seeds_more: Seeds that would be missing for an 80 % chance to support a difference of this
            size; 0 where it is supported, None where none is to be seen.
        test_gain, test_p: The same pairs by test score; `test_p` only where the difference is
            supported.
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
    names, gains, tested = [], [], []
    for first, second in itertools.combinations(scores, 2):
        found = paired(scores[first], scores[second])
        test = signed_rank(found)
        favoured = test.effect >= 0
        names.append((first, second) if favoured else (second, first))
        gains.append(found if favoured else -found)
        tested.append(replace(test, effect=abs(test.effect)))
    adjusted = significance.holm([test.p for test in tested])
    pairs = []
    for (first, second), found, test, p in zip(names, gains, tested, adjusted, strict=True):
        verdict = _verdict(found, float(p), alpha, len(names))
        notice = _on_test(engines[first], engines[second])
        pairs.append(
            Pair(
                first,
                second,
                test.n,
                int((found > 0).sum()),
                int((found == 0).sum()),
                int((found < 0).sum()),
                significance.median(found),
                significance.median_interval(found, level=1 - alpha, resamples=resamples),
                test.effect,
                test.p,
                float(p),
                verdict,
                0 if verdict == "supported" else _seeds_more(test, alpha / len(names)),
                significance.median(notice),
                signed_rank(notice).p if verdict == "supported" and len(notice) else None,
            )
        )
    return tuple(pairs)


def by_seed(runs: Sequence[AnytimeRun], score: Score = "validation") -> dict[int, float]:
    """Return the score of each run's last incumbent by seed; smaller is better, infinity where
    there is none.
    """
    return {run.seed: float(value) for run, value in zip(runs, finals(runs, score), strict=True)}


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> np.ndarray:
    """Return by how much `first` is better on each seed that both have, from scores where smaller
    is better.

    One that has no value (infinity) is worse than any that has; two without are equal.
    """
    both = sorted(first.keys() & second.keys())
    return np.array(
        [0.0 if first[seed] == second[seed] else second[seed] - first[seed] for seed in both]
    )


def _verdict(gains: np.ndarray, p: float, alpha: float, pairs: int) -> Verdict:
    if not len(gains):
        return "no pairs"
    if p <= alpha:
        return "supported"
    if not gains.any():
        return "equal"
    return (
        "too few seeds"
        if len(gains) < significance.fewest_pairs(alpha / pairs)
        else "not supported"
    )


def _seeds_more(test: significance.SignedRank, level: float) -> int | None:
    needed = significance.pairs_needed(test.effect, level)
    return None if needed is None else max(1, needed - test.n)


def _on_test(first: Sequence[AnytimeRun], second: Sequence[AnytimeRun]) -> np.ndarray:
    """Return the paired differences by test score; none where no run has a test score.

    A search without a model is the worst; one that has a model, but of which the test score was
    lost, is left out.
    """
    sides = [_tested(by_seed(runs), by_seed(runs, "test")) for runs in (first, second)]
    known = any(np.isfinite(value) for side in sides for value in side.values())
    return paired(*sides) if known else np.array([])


def _tested(validation: Mapping[int, float], test: Mapping[int, float]) -> dict[int, float]:
    return {
        seed: value
        for seed, value in test.items()
        if np.isfinite(value) or not np.isfinite(validation[seed])
    }
