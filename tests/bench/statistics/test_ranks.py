"""Engines ranked over studies, against Demšar's figure 1."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.statistics.curves import ended
from tests.bench.statistics.demsar import NAMES, RANKS
from tuning.bench.statistics.ranks import rank, rank_studies


def test_the_groups_at_10_percent_are_those_of_demsars_figure_1():
    ranks = rank(RANKS, NAMES, alpha=0.10)
    assert ranks.engines == ("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5")
    assert ranks.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf"), ("C4.5+cf", "C4.5"))
    assert ranks.supported == (("C4.5+m+cf", "C4.5"), ("C4.5+m", "C4.5"))


def test_at_5_percent_all_four_are_one_group():
    ranks = rank(RANKS, NAMES, alpha=0.05)
    assert ranks.groups == (ranks.engines,)
    assert ranks.supported == ()


def test_nemenyi_is_believed_only_where_friedman_rejects():
    ranks = rank(np.array([[1.0, 2.0]] * 4), ("a", "b"))
    assert ranks.ranks == (1.0, 2.0)
    assert (
        ranks.critical_difference < 1.0
    )  # the ranks are farther apart, which 2 of 16 draws are by chance
    assert ranks.friedman.p == pytest.approx(0.125)
    assert ranks.supported == ()


def test_an_engine_is_ranked_by_its_median_on_each_study():
    studies = {
        "one": ended([1, 1, 9], "a", study="one") + ended([2, 2, 2], "b", study="one"),
        "two": ended([5, 5, 5], "a", study="two") + ended([6, None, None], "b", study="two"),
    }
    ranks = rank_studies(studies)
    assert ranks is not None
    assert (ranks.engines, ranks.ranks, ranks.studies) == (("a", "b"), (1.0, 2.0), 2)


def test_an_engine_that_did_not_run_everywhere_is_left_out_and_named():
    studies = {
        name: ended([1, 2], "a", study=name) + ended([2, 3], "b", study=name)
        for name in ("one", "two")
    }
    studies["one"] += ended([0, 0], "c", study="one")
    ranks = rank_studies(studies)
    assert ranks is not None
    assert (ranks.engines, ranks.left_out) == (("a", "b"), ("c",))


def test_one_study_or_one_engine_is_not_ranked():
    one = {"one": ended([1], "a") + ended([2], "b")}
    assert rank_studies(one) is None
    assert rank_studies({"one": ended([1], "a"), "two": ended([1], "a", study="two")}) is None
