"""How two series of searches are compared."""

from __future__ import annotations

from math import nan

from tuning.bench.lr_value import Pair, judge

IGNORED = (0.0, 0.0)


def test_the_narrow_search_has_reached_the_wide_one_when_its_median_is_no_worse_than_the_wide_end():
    pairs = [Pair(i, IGNORED, (5.0, 3.0, 2.0), narrow) for i, narrow in enumerate([(4, 2, 1), (3, 2, 2), (9, 9, 9)])]
    verdict = judge(pairs, "minimize")
    assert (verdict.wide, verdict.narrow, verdict.reached_after) == (2.0, 2, 2)


def test_a_search_that_has_completed_nothing_counts_as_the_worst():
    verdict = judge([Pair(0, IGNORED, (0.5, 0.6), (nan, 0.6))], "maximize")
    assert verdict.reached_after == 2


def test_one_that_never_gets_there_says_so():
    assert judge([Pair(0, IGNORED, (1.0,), (2.0,))], "minimize").reached_after is None
