"""Tests on paired scores: which differences are more than chance, and how many pairs show them.

By SciPy alone. scikit-posthocs would bring statsmodels and seaborn for Nemenyi's test, which is one
line with `studentized_range`, and for Holm's correction, which is another.

Source: Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7.
Section 3.1.3: signed ranks with zeros split evenly. Section 3.2.2: Friedman's statistic without
correction for ties, Iman and Davenport's F, Nemenyi's critical difference. Not from it: Holm over
the pairs of one study, p of Friedman by permutation, the number of pairs needed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import stats

Interval: TypeAlias = tuple[float | None, float | None]

_FAR = 1e150  # stands in for infinity where SciPy would compute inf - inf, or square it

# Pairs whose signs are flipped in all ways, 8,192, where ties forbid Wilcoxon's own table.
_MOST_FLIPPED = 13

# Scores have about 16 digits. What is beyond so many of them is rounding, in their difference too.
_ROUND_OFF = 1e-12


@dataclass(frozen=True, kw_only=True)
class SignedRank:
    """Wilcoxon's signed-rank test of paired differences.

    Attributes:
        n: Pairs.
        statistic: T, the smaller of the two sums of ranks; zeros are split evenly between them.
        effect: Matched-pairs rank-biserial correlation, -1 (all negative) to 1 (all positive).
        p: Two-sided; exact up to 50 pairs without ties or zeros and up to 13 with, else the normal
            approximation.
    """

    n: int
    statistic: float
    effect: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Friedman:
    """Friedman's test that all columns rank alike.

    Attributes:
        chi2: The statistic from mean ranks, without correction for ties.
        f: Iman and Davenport's; infinite where all rows agree.
        p_f: Of `f`; too small for few rows, kept to be compared with the literature.
        p: By permutation within rows: all permutations where these are few, else 9,999 random ones.
    """

    chi2: float
    f: float
    p_f: float
    p: float


def signed_rank(differences: np.ndarray, sizes: np.ndarray | None = None) -> SignedRank:
    """Test whether paired differences are symmetric about zero.

    Source: Demšar 2006, section 3.1.3; the effect is Kerby 2014, "The Simple Difference Formula",
    the share of ranks in favour less the share against.

    Args:
        differences: One for each pair; infinite where one side has no value, which outranks every
            number.
        sizes: The larger score of each pair, whose digits the rounding of the difference depends
            on. None: they are not known, and taken for as large as the differences.
    """
    differences = np.asarray(differences, dtype=float)
    rounded = _without_round_off(differences, _round_off(differences, sizes))
    ranks = stats.rankdata(np.abs(rounded))
    signed_ranks = np.sign(rounded) * ranks

    rank_sum = float(ranks.sum())
    lean = float(signed_ranks.sum())  # R+ - R-, and R+ + R- is the rank sum
    statistic = (rank_sum - abs(lean)) / 2

    if not rounded.any():  # no pair differs, or there is none
        return SignedRank(n=len(rounded), statistic=statistic, effect=0.0, p=1.0)

    p = _tied_p(signed_ranks) if _few_with_ties(rounded) else _wilcoxon_p(rounded)
    return SignedRank(n=len(rounded), statistic=statistic, effect=lean / rank_sum, p=p)


def holm(p: Sequence[float]) -> np.ndarray:
    """Return Holm's adjusted p-values, in the order of `p`.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure". The smallest p is
    multiplied by the number of tests, the next by one less, and none comes before a smaller one.
    """
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    stepped = np.asarray(p, dtype=float)[order] * factors
    stepped = np.minimum(np.maximum.accumulate(stepped), 1.0)

    adjusted = np.empty(len(p))
    adjusted[order] = stepped
    return adjusted


def fewest_pairs(level: float) -> int:
    """Return how many pairs the two-sided signed-rank test takes at least to reach p <= `level`.

    Where all n pairs lean one way, p is 2^(1 - n).
    """
    round_off = 1e-9  # a level that is a power of 2 is reached by exactly so many pairs
    return math.ceil(1 - math.log2(level) - round_off)


def pairs_needed(effect: float, level: float, power: float = 0.8) -> int | None:
    """Return how many pairs find an effect of this size at `level` with this power.

    Source: Noether 1987, "Sample Size Determination for Some Common Nonparametric Tests", JASA 82:
    n = (z_a + z_b)^2 / (3 (p' - 1/2)^2), p' the chance that the mean of two differences is
    positive, estimated by (effect + 1) / 2. Its variance is that of no effect, so that it asks for
    too many where the effect is large: 0.94 power instead of 0.8 where differences are one standard
    deviation off zero. Not from it: never fewer than `fewest_pairs`.

    Returns:
        None where there is no effect.
    """
    if not effect:
        return None

    z_level = stats.norm.isf(level / 2)
    z_power = stats.norm.isf(1 - power)
    beyond_half = effect / 2  # p' - 1/2
    n_noether = float(z_level + z_power) ** 2 / (3 * beyond_half**2)
    return max(fewest_pairs(level), math.ceil(n_noether))


def median_interval(
    values: np.ndarray, *, level: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval | None:
    """Return a bootstrap interval of the median; an end is None where it is infinite.

    Percentiles of the resampled medians: the median's jackknife, on which BCa builds, is not
    consistent, and fails where values are tied.

    Returns:
        None for fewer than two values, and without resamples.
    """
    if len(values) < 2 or not resamples:
        return None

    interval = stats.bootstrap(
        (np.clip(values, -_FAR, _FAR),),
        np.median,
        method="percentile",
        n_resamples=resamples,
        confidence_level=level,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return _finite(interval.low), _finite(interval.high)


def median(values: np.ndarray) -> float | None:
    """Return the median; None where it is infinite, or there are no values."""
    if not len(values):
        return None
    return _finite(np.median(np.clip(values, -_FAR, _FAR)))


def mean_ranks(table: np.ndarray) -> np.ndarray:
    """Return the mean over rows of each column's rank.

    1 is the smallest of its row; those that are tied share their ranks.
    """
    ranks: np.ndarray = stats.rankdata(table, axis=1).mean(axis=0)
    return ranks


def friedman(table: np.ndarray, *, resamples: int = 9999, seed: int = 0) -> Friedman:
    """Test whether the columns of `table` rank alike.

    Source: Demšar 2006, section 3.2.2: chi2 of Friedman, F of Iman and Davenport.

    Args:
        table: Of shape (block, treatment); infinite entries are the worst.
        resamples: Random permutations, where there are more than so many.
        seed: Of these permutations.

    Raises:
        ValueError: Fewer than two rows or columns.
    """
    rows, columns = table.shape
    if rows < 2 or columns < 2:
        raise ValueError(
            f"Friedman's test takes at least 2 rows and 2 columns, not {rows} × {columns}"
        )

    ranks = stats.rankdata(table, axis=1)
    chi2 = float(_chi2(*ranks.T))

    # F has the rest of what chi2 can be at most in its denominator: none where all rows agree.
    rest = rows * (columns - 1) - chi2
    f = (rows - 1) * chi2 / rest if rest > 1e-9 else math.inf
    p_f = float(stats.f.sf(f, columns - 1, (columns - 1) * (rows - 1)))

    permuted = stats.permutation_test(
        tuple(ranks.T),
        _chi2,
        permutation_type="samples",
        alternative="greater",
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
        vectorized=True,
    )
    return Friedman(chi2=chi2, f=f, p_f=p_f, p=float(permuted.pvalue))


def critical_difference(treatments: int, blocks: int, alpha: float = 0.05) -> float:
    """Return how far apart two mean ranks must be for Nemenyi's test to tell them apart.

    Source: Demšar 2006, section 3.2.2: CD = q_alpha sqrt(k (k + 1) / (6 N)), where q_alpha is the
    studentized range statistic over sqrt(2).
    """
    studentized_range = float(stats.studentized_range.isf(alpha, treatments, np.inf))
    q = studentized_range / math.sqrt(2)
    return q * math.sqrt(treatments * (treatments + 1) / (6 * blocks))


def nemenyi(ranks: np.ndarray, blocks: int) -> np.ndarray:
    """Return Nemenyi's p for each two mean ranks: a symmetric matrix with ones on its diagonal."""
    treatments = len(ranks)
    apart = np.abs(ranks[:, None] - ranks[None, :])
    error = math.sqrt(treatments * (treatments + 1) / (12 * blocks))
    p: np.ndarray = stats.studentized_range.sf(apart / error, treatments, np.inf)
    return p


def _few_with_ties(differences: np.ndarray) -> bool:
    if len(differences) > _MOST_FLIPPED:
        return False
    sizes = np.abs(differences)
    has_ties = len(np.unique(sizes)) < len(sizes)
    has_zeros = not sizes.all()
    return has_ties or has_zeros


def _tied_p(signed_ranks: np.ndarray) -> float:
    # `wilcoxon` does the same for so few, but in a Python loop: a second for a test of 13 pairs.
    flipped = stats.permutation_test(
        (signed_ranks,), np.sum, permutation_type="samples", vectorized=True
    )
    return float(flipped.pvalue)


def _wilcoxon_p(differences: np.ndarray) -> float:
    return float(stats.wilcoxon(differences, zero_method="zsplit").pvalue)


def _finite(value: float) -> float | None:
    """Return None for what is infinite, or an average of two values of which one is."""
    return None if abs(value) > _FAR / 4 else float(value)


def _chi2(*ranks: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return Friedman's statistic of one array of ranks for each column, blocks along `axis`.

    Source: Demšar 2006, section 3.2.2: 12 N / (k (k + 1)) (sum R_j^2 - k (k + 1)^2 / 4).
    """
    columns = len(ranks)
    rows = ranks[0].shape[axis]

    means = np.stack([np.mean(column, axis=axis) for column in ranks])
    spread = (means**2).sum(axis=0) - columns * (columns + 1) ** 2 / 4
    chi2 = 12 * rows / (columns * (columns + 1)) * spread

    # Statistics of equal ranks must compare as equal, whichever order they were summed in.
    rounded: np.ndarray = np.round(chi2, 9)
    return rounded


def _round_off(differences: np.ndarray, sizes: np.ndarray | None) -> np.ndarray:
    """Return by how much each difference may be off, for no other reason than its rounding."""
    if sizes is not None:
        return _ROUND_OFF * np.where(np.isfinite(sizes), sizes, 0.0)

    lengths = np.where(np.isfinite(differences), np.abs(differences), 0.0)
    # One pair's own length would never make it a zero, and the largest would make all others one.
    usual = np.median(lengths[lengths > 0]) if lengths.any() else 0.0
    return _ROUND_OFF * np.maximum(lengths, usual)


def _without_round_off(differences: np.ndarray, round_off: np.ndarray) -> np.ndarray:
    """Return differences of which those that only rounding parts are equal, or zero.

    Each pair is held against its own rounding: one of very large scores says nothing about the
    others. Infinite differences become numbers beyond all others.
    """
    lengths = np.abs(differences)
    is_finite = np.isfinite(lengths)
    beyond = 2 * lengths[is_finite].max(initial=0.0) + 1
    lengths = np.where(is_finite, lengths, beyond)
    lengths[lengths <= round_off] = 0.0

    order = np.argsort(lengths, kind="stable")
    for lower, upper in itertools.pairwise(order):
        gap = lengths[upper] - lengths[lower]
        if lengths[lower] and gap <= max(round_off[lower], round_off[upper]):
            lengths[upper] = lengths[lower]
    cut: np.ndarray = np.sign(differences) * lengths
    return cut
