"""Tests on paired scores: which differences are more than chance, and how many pairs it would take
to see them.

By SciPy alone. scikit-posthocs would bring statsmodels and seaborn for Nemenyi's test, which is one
line with `studentized_range`, and for Holm's correction, which is another.
Source: Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7:
signed ranks with zeros split evenly, Friedman's statistic without correction for ties, Iman and
Davenport's F, Nemenyi's critical difference. Not from it: Holm over the pairs of one study, p of
Friedman by permutation, the number of pairs needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import stats

Interval: TypeAlias = tuple[float | None, float | None]
_FAR = 1e150  # stands in for infinity where SciPy would compute inf - inf, or square it
_MOST_FLIPPED = (
    13  # pairs whose signs are flipped in all ways, 8,192, where ties forbid Wilcoxon's own table
)
_DIGITS = 12  # differences that agree to so many digits are tied: what is beyond them is rounding


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


def signed_rank(differences: np.ndarray) -> SignedRank:
    """Test whether paired differences are symmetric about zero.

    Args:
        differences: One for each pair; infinite where one side has no value, which outranks every
            number.
    """
    rounded = _rounded(np.asarray(differences, dtype=float))
    ranks = stats.rankdata(np.abs(rounded))
    total = ranks.sum()
    lean = float(np.sign(rounded) @ ranks)
    if not lean and not rounded.any():
        return SignedRank(len(rounded), float(total / 2), 0.0, 1.0)
    p = _tied_p(np.sign(rounded) * ranks) if _few_with_ties(rounded) else _wilcoxon_p(rounded)
    return SignedRank(len(rounded), float(total - abs(lean)) / 2, lean / float(total), p)


def holm(p: Sequence[float]) -> np.ndarray:
    """Return Holm's adjusted p-values, in the order given."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(np.asarray(p, dtype=float)[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def fewest_pairs(level: float) -> int:
    """Return how many pairs the two-sided signed-rank test needs at least to reach p <= `level`: p
    = 2^(1 - n).
    """
    return math.ceil(1 - math.log2(level) - 1e-9)


def pairs_needed(effect: float, level: float, power: float = 0.8) -> int | None:
    """Return how many pairs find an effect of this size at `level` with this power; None where
    there is no effect.

    Source: Noether 1987, "Sample Size Determination for Some Common Nonparametric Tests", JASA 82:
    n = (z_a + z_b)^2 / (3 (p' - 1/2)^2), p' the chance that the mean of two differences is
    positive, estimated by (effect + 1) / 2. Its variance is that of no effect, so that it asks for
    too many where the effect is large: 0.94 power instead of 0.8 where differences are one standard
    deviation off zero. Not from it: never fewer than `fewest_pairs`.
    """
    if not effect:
        return None
    z = float(stats.norm.isf(level / 2) + stats.norm.isf(1 - power))
    return max(fewest_pairs(level), math.ceil(z**2 / (3 * (effect / 2) ** 2)))


def median_interval(
    values: np.ndarray, *, level: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval | None:
    """Return a bootstrap interval of the median; an end is None where it is infinite.

    None for fewer than two values, and without resamples.

    Percentiles of the resampled medians: the median's jackknife, on which BCa builds, is not
    consistent, and fails where values are tied.
    """
    if len(values) < 2 or not resamples:
        return None
    kept = np.clip(values, -_FAR, _FAR)
    drawn = stats.bootstrap(
        (kept,),
        np.median,
        method="percentile",
        n_resamples=resamples,
        confidence_level=level,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return _near(drawn.low), _near(drawn.high)


def median(values: np.ndarray) -> float | None:
    """Return the median; None where it is infinite, or there are no values."""
    return _near(np.median(np.clip(values, -_FAR, _FAR))) if len(values) else None


def mean_ranks(table: np.ndarray) -> np.ndarray:
    """Return the mean over rows of each column's rank; 1 is the smallest of its row, ties share
    their ranks.
    """
    ranks: np.ndarray = stats.rankdata(table, axis=1).mean(axis=0)
    return ranks


def friedman(table: np.ndarray, *, resamples: int = 9999, seed: int = 0) -> Friedman:
    """Test whether the columns of `table` (blocks × treatments) rank alike; infinite entries are
    the worst.

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
    rest = rows * (columns - 1) - chi2
    f = (rows - 1) * chi2 / rest if rest > 1e-9 else math.inf
    permuted = stats.permutation_test(
        tuple(ranks.T),
        _chi2,
        permutation_type="samples",
        alternative="greater",
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
        vectorized=True,
    )
    return Friedman(
        chi2,
        f,
        float(stats.f.sf(f, columns - 1, (columns - 1) * (rows - 1))),
        float(permuted.pvalue),
    )


def critical_difference(treatments: int, blocks: int, alpha: float = 0.05) -> float:
    """Return how far apart two mean ranks must be for Nemenyi's test to tell them apart."""
    q = float(stats.studentized_range.isf(alpha, treatments, np.inf)) / math.sqrt(2)
    return q * math.sqrt(treatments * (treatments + 1) / (6 * blocks))


def nemenyi(ranks: np.ndarray, blocks: int) -> np.ndarray:
    """Return Nemenyi's p for each pair of mean ranks, as a symmetric matrix with ones on its
    diagonal.
    """
    apart = np.abs(ranks[:, None] - ranks[None, :])
    error = math.sqrt(len(ranks) * (len(ranks) + 1) / (12 * blocks))
    p: np.ndarray = stats.studentized_range.sf(apart / error, len(ranks), np.inf)
    return p


def _few_with_ties(differences: np.ndarray) -> bool:
    ties = len(np.unique(np.abs(differences))) < len(differences) or not differences.all()
    return ties and len(differences) <= _MOST_FLIPPED


def _tied_p(signed_ranks: np.ndarray) -> float:
    # What `wilcoxon` does for so few, but there in a Python loop: a second for each test of 13
    # pairs.
    flipped = stats.permutation_test(
        (signed_ranks,), np.sum, permutation_type="samples", vectorized=True
    )
    return float(flipped.pvalue)


def _wilcoxon_p(differences: np.ndarray) -> float:
    return float(stats.wilcoxon(differences, zero_method="zsplit").pvalue)


def _near(value: float) -> float | None:
    return None if abs(value) > _FAR / 4 else float(value)


def _chi2(*ranks: np.ndarray, axis: int = -1) -> np.ndarray:
    means = np.stack([np.mean(column, axis=axis) for column in ranks])
    count, rows = len(ranks), ranks[0].shape[axis]
    spread = (means**2).sum(axis=0) - count * (count + 1) ** 2 / 4
    # Statistics of equal ranks must compare as equal, whichever order they were summed in.
    chi2: np.ndarray = np.round(12 * rows / (count * (count + 1)) * spread, 9)
    return chi2


def _rounded(differences: np.ndarray) -> np.ndarray:
    """Return differences with round-off taken away, infinite ones as numbers beyond all others."""
    finite = np.abs(differences[np.isfinite(differences)])
    most = float(finite.max(initial=0.0)) or 1.0
    decimals = _DIGITS - math.ceil(math.log10(most))
    filled = np.where(np.isfinite(differences), differences, np.sign(differences) * 2 * most)
    return np.round(filled, min(decimals, 300))
