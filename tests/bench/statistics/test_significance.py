"""Tests on paired scores, against the worked examples of Demšar 2006 and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.bench.statistics.demsar import AUC, RANKS
from tuning.bench.statistics.significance import (
    critical_difference,
    fewest_pairs,
    friedman,
    holm,
    mean_ranks,
    median,
    median_interval,
    nemenyi,
    pairs_needed,
    signed_rank,
)


def test_signed_ranks_of_demsars_table_2_give_t_12_and_reject():
    tested = signed_rank(AUC[:, 1] - AUC[:, 0])
    assert (tested.n, tested.statistic) == (
        14,
        12.0,
    )  # the paper's critical value for 14 pairs is 21
    assert tested.p < 0.05
    assert tested.effect == pytest.approx((93 - 12) / 105)


def test_mean_ranks_are_those_of_demsars_table_6():
    assert mean_ranks(RANKS) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)


def test_the_printed_aucs_rank_as_the_paper_does_where_they_are_not_printed_as_equal():
    off = np.argwhere(stats.rankdata(-AUC, axis=1) != RANKS)
    assert off.tolist() == [[12, 2], [12, 3]]  # 0.975 and 0.975 on `voting`


def test_friedman_is_that_of_demsars_section_3_2_2():
    tested = friedman(RANKS)
    assert tested.chi2 == pytest.approx(9.28, abs=0.005)
    assert tested.f == pytest.approx(3.69, abs=0.005)
    assert tested.p < 0.05
    assert tested.p_f < 0.05 < stats.f.sf(2.84, 3, 39)  # F(3, 39) is 2.85 at 0.05


@pytest.mark.parametrize(("alpha", "expected"), [(0.05, 1.25), (0.10, 1.12)])
def test_the_critical_difference_of_four_on_fourteen_is_demsars(alpha, expected):
    assert critical_difference(4, 14, alpha) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("treatments", "at_5", "at_10"),
    [
        (2, 1.960, 1.645),
        (3, 2.343, 2.052),
        (4, 2.569, 2.291),
        (6, 2.850, 2.589),
        (10, 3.164, 2.920),
    ],
)
def test_critical_values_are_those_of_demsars_table_5(treatments, at_5, at_10):
    unit = np.sqrt(treatments * (treatments + 1) / 6)  # of one block
    values = [critical_difference(treatments, 1, alpha) / unit for alpha in (0.05, 0.10)]
    assert values == pytest.approx([at_5, at_10], abs=0.0011)


def test_nemenyi_parts_c45_from_both_fitted_ones_at_10_percent_and_none_at_5():
    p = nemenyi(mean_ranks(RANKS), len(RANKS))
    assert np.argwhere(np.triu(p <= 0.10, 1)).tolist() == [[0, 1], [0, 3]]
    assert (p > 0.05).all()
    assert np.diag(p) == pytest.approx(np.ones(4))


def test_holm_rejects_what_it_does_in_demsars_example():
    assert holm([0.016, 0.019, 0.607]) == pytest.approx([0.048, 0.048, 0.607])
    assert holm([0.607, 0.016, 0.019]) == pytest.approx([0.607, 0.048, 0.048])


def test_holm_of_nothing_is_nothing_and_no_p_grows_beyond_1():
    assert holm([]).tolist() == []
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_friedman_agrees_with_scipy_where_nothing_is_tied():
    table = np.random.default_rng(3).normal(size=(12, 4))
    assert friedman(table).chi2 == pytest.approx(
        stats.friedmanchisquare(*table.T).statistic, abs=1e-8
    )


def test_friedman_by_permutation_does_not_reject_what_two_studies_cannot_show():
    tested = friedman(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]))
    assert tested.p_f == 0.0  # infinite F
    assert tested.p == pytest.approx(1 / 6)  # 6 of 36 permutations agree


def test_friedman_takes_columns_that_never_differ_for_alike():
    assert friedman(np.ones((5, 3))).p == 1.0


@pytest.mark.parametrize("shape", [(1, 3), (5, 1)])
def test_friedman_of_too_small_a_table_says_what_it_takes(shape):
    with pytest.raises(ValueError, match="at least 2 rows and 2 columns"):
        friedman(np.zeros(shape))


@pytest.mark.parametrize("differences", [[], [0.0], [0.0, 0.0, 0.0]])
def test_pairs_that_do_not_differ_have_p_1_and_no_effect(differences):
    tested = signed_rank(np.array(differences))
    assert (tested.p, tested.effect, tested.n) == (1.0, 0.0, len(differences))


def test_five_pairs_that_all_lean_one_way_do_not_reach_5_percent_and_six_do():
    assert [signed_rank(np.arange(1.0, n + 1)).p for n in (5, 6)] == [0.0625, 0.03125]
    assert fewest_pairs(0.05) == 6


@pytest.mark.parametrize("level", [0.05, 0.0625, 0.01, 0.05 / 3, 0.05 / 15])
def test_the_fewest_pairs_reach_the_level_and_one_less_does_not(level):
    n = fewest_pairs(level)
    assert signed_rank(np.arange(1.0, n + 1)).p <= level < signed_rank(np.arange(1.0, n)).p


def test_a_pair_without_a_value_on_one_side_outranks_every_number():
    missing = signed_rank(np.array([np.inf, -1.0, 2.0, -3.0]))
    assert missing == signed_rank(np.array([1e9, -1.0, 2.0, -3.0]))


def test_differences_that_only_rounding_parts_are_tied():
    assert signed_rank(np.array([0.3 - 0.2, -0.1, 0.2, 0.4])) == signed_rank(
        np.array([0.1, -0.1, 0.2, 0.4])
    )
    assert (
        signed_rank(np.array([0.1 + 0.2 - 0.3, 0.0, 1.0])).statistic == 1.5
    )  # the first is a zero


def test_a_very_large_difference_makes_no_ties_of_the_others():
    differences = np.array([1e13, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    tested = signed_rank(differences)
    assert tested.p == pytest.approx(stats.wilcoxon(differences).pvalue) == pytest.approx(0.015625)
    assert tested == signed_rank(np.array([0.7, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))


def test_how_exact_a_difference_is_depends_on_its_own_pairs_scores():
    scores = np.array([[1e6, 1e6 + 0.1], [2.1, 2.0], [0.3, 0.1], [0.1 + 0.2, 0.3], [1e13, 1.0]])
    sizes = scores.max(axis=1)
    tested = signed_rank(scores[:, 0] - scores[:, 1], sizes)
    assert tested == signed_rank(np.array([-0.1, 0.1, 0.2, 0.0, 5.0]))
    # Where the scores are not known, the first two are as different as their digits.
    assert tested != signed_rank(scores[:, 0] - scores[:, 1])


@pytest.mark.parametrize("n", [4, 7, 20])
def test_the_p_of_tied_pairs_is_scipys(n):
    differences = np.random.default_rng(n).integers(-2, 4, size=n).astype(float)
    expected = stats.wilcoxon(differences, zero_method="zsplit")
    tested = signed_rank(differences)
    assert (tested.p, tested.statistic) == (pytest.approx(expected.pvalue), expected.statistic)


def test_ties_and_zeros_never_make_the_test_reject_too_often():
    chance = np.random.default_rng(0)
    drawn = chance.integers(-2, 3, size=(400, 20)).astype(float)
    assert (
        sum(signed_rank(row).p <= 0.05 for row in drawn) <= 33
    )  # 20 expected; 33 is 3 standard errors above


def power_at_the_pairs_needed(shift: float) -> float:
    """How often differences of this mean and of spread 1 are found with the pairs needed."""
    chance = np.random.default_rng(1)
    one, other = chance.normal(shift, size=(2, 200_000))
    needed = pairs_needed(2 * float((one + other > 0).mean()) - 1, 0.05)
    assert needed is not None
    tested = stats.wilcoxon(chance.normal(shift, size=(2000, needed)), axis=1)
    return float((tested.pvalue <= 0.05).mean())


@pytest.mark.parametrize("shift", [0.4, 0.6])
def test_the_pairs_said_to_be_needed_find_a_difference_in_about_80_percent(shift):
    assert 0.76 <= power_at_the_pairs_needed(shift) <= 0.88


def test_the_pairs_said_to_be_needed_for_a_large_difference_are_rather_too_many():
    assert 0.88 <= power_at_the_pairs_needed(1.0) <= 0.98


def test_no_effect_needs_no_number_of_pairs_and_a_perfect_one_the_fewest_possible_or_more():
    assert pairs_needed(0.0, 0.05) is None
    assert (pairs_needed(1.0, 1e-5) or 0) >= fewest_pairs(1e-5)


def test_the_interval_of_a_median_covers_it_about_as_often_as_it_says():
    drawn = np.random.default_rng(2).normal(size=(300, 20))
    ends = [median_interval(row, resamples=500, seed=i) for i, row in enumerate(drawn)]
    assert 0.90 <= np.mean([low <= 0 <= high for low, high in ends]) <= 0.99


def test_the_interval_of_equal_values_is_that_value_and_of_one_value_there_is_none():
    assert median_interval(np.array([0.5, 0.5, 0.5])) == (0.5, 0.5)
    assert median_interval(np.array([0.5])) is None


def test_medians_and_ends_of_intervals_that_are_infinite_are_none():
    values = np.array([1.0, 2.0, np.inf, np.inf])
    assert (median(values[:3]), median(values), median(values[:0])) == (2.0, None, None)
    low, high = median_interval(values)
    assert (low, high) == (1.0, None)
