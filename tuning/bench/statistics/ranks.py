"""Engines ranked over studies: Friedman's test, Nemenyi's critical difference, and who is tied.

Source: Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7,
section 3.2.2. Not from it: Nemenyi's test counts only where Friedman's rejects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuning.bench.statistics.anytime import by_engine, finals, quantile
from tuning.bench.statistics.records import AnytimeRun
from tuning.bench.statistics.significance import (
    Friedman,
    critical_difference,
    friedman,
    mean_ranks,
    nemenyi,
)


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Mean ranks over studies; an engine's score on a study is its median over seeds.

    Attributes:
        studies: How many; only engines that ran on all of them are ranked.
        alpha: Level of both tests.
        engines: The best first.
        ranks: Mean rank of each, 1 is the best.
        friedman: Do they differ at all?
        critical_difference: Of Nemenyi's test at `alpha`.
        p: Nemenyi's p of each two engines, (engine, engine).
        groups: Largest runs of engines that Nemenyi's test does not tell apart, as the diagram's
            bars join them.
        supported: Pairs (better, worse) that are told apart; none where Friedman's test does not
            reject.
        left_out: Engines that did not run on every study.
    """

    studies: int
    alpha: float
    engines: tuple[str, ...]
    ranks: tuple[float, ...]
    friedman: Friedman
    critical_difference: float
    p: tuple[tuple[float, ...], ...]
    groups: tuple[tuple[str, ...], ...]
    supported: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...] = ()


def rank_studies(
    studies: Mapping[str, Sequence[AnytimeRun]], *, alpha: float = 0.05, resamples: int = 9999
) -> Ranks | None:
    """Rank the engines that ran on all studies.

    Args:
        studies: The runs of each.
        alpha: Level of the tests.
        resamples: Of Friedman's test, where all permutations are too many.

    Returns:
        None for fewer than two studies or engines.
    """
    medians = [_medians(runs) for runs in studies.values()]
    engines = list(dict.fromkeys(name for scores in medians for name in scores))
    everywhere = [name for name in engines if all(name in scores for scores in medians)]
    if len(medians) < 2 or len(everywhere) < 2:
        return None

    table = np.array([[scores[name] for name in everywhere] for scores in medians])
    return rank(
        table,
        everywhere,
        alpha=alpha,
        resamples=resamples,
        left_out=sorted(set(engines) - set(everywhere)),
    )


def rank(
    table: np.ndarray,
    engines: Sequence[str],
    *,
    alpha: float = 0.05,
    resamples: int = 9999,
    left_out: Sequence[str] = (),
) -> Ranks:
    """Rank `engines`, the columns of a table of (study, engine) where smaller is better."""
    means = mean_ranks(table)
    order = np.argsort(means, kind="stable")
    names = [engines[i] for i in order]
    means = means[order]

    # Nemenyi's is a test after the other: where Friedman's does not reject, no pair counts.
    test = friedman(table, resamples=resamples)
    difference = critical_difference(len(names), len(table), alpha)
    supported: list[tuple[str, str]] = []
    if test.p <= alpha:
        supported = _told_apart(names, means, difference)

    p_values = nemenyi(means, len(table))
    return Ranks(
        studies=len(table),
        alpha=alpha,
        engines=tuple(names),
        ranks=tuple(means.tolist()),
        friedman=test,
        critical_difference=difference,
        p=tuple(tuple(row) for row in p_values.tolist()),
        groups=tuple(_groups(names, means, difference)),
        supported=tuple(supported),
        left_out=tuple(left_out),
    )


def _medians(runs: Sequence[AnytimeRun]) -> dict[str, float]:
    """Return the median over seeds of each engine's last incumbent; smaller is better."""
    return {engine: float(quantile(finals(some), 0.5)) for engine, some in by_engine(runs)}


def _told_apart(names: Sequence[str], means: np.ndarray, apart: float) -> list[tuple[str, str]]:
    """Return each (better, worse) whose mean ranks are `apart` or more; names by rising rank."""
    return [
        (better, worse)
        for better, better_rank in zip(names, means, strict=True)
        for worse, worse_rank in zip(names, means, strict=True)
        if worse_rank - better_rank >= apart
    ]


def _groups(names: Sequence[str], means: np.ndarray, apart: float) -> list[tuple[str, ...]]:
    """Return the largest groups of two or more whose mean ranks lie within `apart`."""
    groups: list[tuple[str, ...]] = []
    last_end = 0
    for start, lowest in enumerate(means):
        # Exactly `apart` is told apart, so it ends the group.
        end = int(np.searchsorted(means, lowest + apart, side="left"))
        is_part_of_the_last = end <= last_end
        if end - start > 1 and not is_part_of_the_last:
            groups.append(tuple(names[start:end]))
            last_end = end
    return groups
