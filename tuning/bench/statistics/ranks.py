"""Engines ranked over studies: Friedman's test, Nemenyi's critical difference, and who is tied with
whom.
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


@dataclass(frozen=True)
class Ranks:
    """Mean ranks over studies; an engine's score on a study is its median over seeds.

    Attributes:
        studies: How many; only engines that ran on all of them are ranked.
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
    """Rank the engines over studies; None for fewer than two studies or engines that ran on all of
    them.
    """
    medians = [
        {engine: float(quantile(finals(some), 0.5)) for engine, some in by_engine(runs)}
        for runs in studies.values()
    ]
    names = list(dict.fromkeys(name for scores in medians for name in scores))
    everywhere = [name for name in names if all(name in scores for scores in medians)]
    if len(medians) < 2 or len(everywhere) < 2:
        return None
    table = np.array([[scores[name] for name in everywhere] for scores in medians])
    return rank(
        table,
        everywhere,
        alpha=alpha,
        resamples=resamples,
        left_out=sorted(set(names) - set(everywhere)),
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
    names, sorted_means = [engines[i] for i in order], means[order]
    apart = critical_difference(len(names), len(table), alpha)
    told = friedman(table, resamples=resamples)
    groups = _groups(names, sorted_means, apart)
    differ = [
        (better, worse)
        for i, better in enumerate(names)
        for j, worse in enumerate(names)
        if sorted_means[j] - sorted_means[i] >= apart and told.p <= alpha
    ]
    p = nemenyi(sorted_means, len(table))
    return Ranks(
        len(table),
        alpha,
        tuple(names),
        tuple(map(float, sorted_means)),
        told,
        apart,
        tuple(tuple(map(float, row)) for row in p),
        tuple(groups),
        tuple(differ),
        tuple(left_out),
    )


def _groups(names: Sequence[str], means: np.ndarray, apart: float) -> list[tuple[str, ...]]:
    """Return the largest runs of two or more that lie within the critical difference."""
    spans: list[tuple[int, int]] = []
    for start in range(len(means)):
        end = int(np.searchsorted(means, means[start] + apart, side="left"))
        if end - start > 1 and (not spans or end > spans[-1][1]):
            spans.append((start, end))
    return [tuple(names[start:end]) for start, end in spans]
