"""Two engines paired by seed: ties, missing values, too few seeds, and how often it errs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.bench.statistics.curves import ended, run
from tuning.bench.statistics.pairs import Pair, compare


def pair_of(first, second, **fields) -> Pair:
    (pair,) = compare(
        {"a": ended(first, "a", **fields), "b": ended(second, "b", **fields)}, resamples=99
    )
    return pair


def test_the_engine_that_the_ranks_favour_stands_first_whichever_comes_first():
    low, high = [0.1 * i for i in range(8)], [0.1 * i + 0.05 + 0.001 * i for i in range(8)]
    for pair, first in ((pair_of(low, high), "a"), (pair_of(high, low), "b")):
        assert (pair.first, pair.wins, pair.ties, pair.losses, pair.effect) == (first, 8, 0, 0, 1.0)
        assert pair.gain == pytest.approx(0.0535)
        assert (pair.verdict, pair.seeds_more) == ("supported", 0)


def test_a_score_to_be_maximized_is_better_where_it_is_higher():
    pair = pair_of(
        [0.5 + 0.01 * i for i in range(8)], [0.6 + 0.02 * i for i in range(8)], direction="maximize"
    )
    assert (pair.first, pair.wins) == ("b", 8)
    assert pair.gain is not None
    assert pair.gain > 0


def test_five_seeds_are_too_few_for_any_difference():
    pair = pair_of([1, 2, 3, 4, 5], [11, 22, 33, 44, 55])
    assert (pair.verdict, pair.p, pair.effect) == ("too few seeds", 0.0625, 1.0)
    assert pair.seeds_more is not None
    assert pair.seeds_more >= 1


def test_equal_scores_are_called_equal_and_no_number_of_seeds_is_named():
    pair = pair_of([0.3] * 8, [0.3] * 8)
    assert (pair.verdict, pair.p, pair.ties, pair.gain, pair.seeds_more) == (
        "equal",
        1.0,
        8,
        0.0,
        None,
    )


def test_ties_count_for_neither_side():
    pair = pair_of([1, 1, 1, 1, 1, 1, 0.5, 2.0], [1, 1, 1, 1, 1, 1, 1.0, 1.5])
    assert (pair.wins, pair.ties, pair.losses, pair.effect) == (1, 6, 1, 0.0)
    assert pair.verdict == "not supported"


def test_an_engine_that_never_completed_a_trial_loses_to_one_that_did():
    pair = pair_of([0.5] * 8, [None] * 8)
    assert (pair.first, pair.wins, pair.verdict) == ("a", 8, "supported")
    assert pair.gain is None  # by how much cannot be said


def test_two_engines_that_never_completed_a_trial_are_equal():
    assert pair_of([None] * 6, [None] * 6).verdict == "equal"


def test_nan_is_no_value():
    assert pair_of([0.5] * 8, [float("nan")] * 8).wins == 8


def test_only_seeds_that_both_have_are_paired():
    first, second = ended([1, 2, 3], "a"), ended([2, 3], "b")
    (pair,) = compare({"a": first, "b": second}, resamples=99)
    assert (pair.n, pair.wins) == (2, 2)


def test_engines_without_a_common_seed_cannot_be_compared():
    (pair,) = compare({"a": [run([1.0], "a", 0)], "b": [run([2.0], "b", 1)]}, resamples=99)
    assert (pair.n, pair.verdict, pair.interval, pair.gain) == (0, "no pairs", None, None)


def test_one_engine_has_no_pairs():
    assert compare({"a": ended([1, 2], "a")}) == ()


def test_more_engines_need_more_seeds_because_of_holms_correction():
    scores = {name: [i + 10 * place for i in range(6)] for place, name in enumerate("abcd")}
    pairs = compare({name: ended(some, name) for name, some in scores.items()}, resamples=99)
    assert {pair.verdict for pair in pairs} == {"too few seeds"}  # 6 pairs: 8 seeds
    assert {pair.p for pair in pairs} == {0.03125}
    assert {pair.p_holm for pair in pairs} == {0.1875}


def test_the_test_score_is_asked_about_only_where_validation_is_supported():
    tests = {"tests": (1.0, 0.5)}
    assert pair_of([1, 2, 3, 4], [2, 3, 4, 5], **tests).test_p is None
    supported = pair_of([0.1 * i for i in range(8)], [1 + 0.1 * i for i in range(8)], **tests)
    assert (supported.verdict, supported.test_p, supported.test_gain) == ("supported", 1.0, 0.0)


def test_a_lost_test_score_leaves_its_seed_out_and_is_not_the_worst_of_all():
    first, second = (
        ended([0.1 * i for i in range(8)], "a"),
        ended([1 + 0.1 * i for i in range(8)], "b"),
    )
    lost = [replace(run, tests=(None if run.seed < 4 else 0.5,)) for run in first]
    tested = [replace(run, tests=(1.0 + run.seed,)) for run in second]
    (pair,) = compare({"a": lost, "b": tested}, resamples=99)
    assert (pair.first, pair.test_gain) == ("a", 6.5 - 0.5)
    assert pair.test_p == 0.125  # of four seeds


def test_without_test_scores_nothing_is_said_about_them():
    pair = pair_of([0.1 * i for i in range(8)], [1 + 0.1 * i for i in range(8)])
    assert (pair.verdict, pair.test_p, pair.test_gain) == ("supported", None, None)


def supported(repetitions: int, shift: float) -> int:
    """How many simulated benchmarks of 20 seeds support a difference of `shift` spreads.

    Both engines meet what a seed is like; beside that, each draws for itself.
    """
    chance = np.random.default_rng(20_240_501)
    count = 0
    for _ in range(repetitions):
        own = chance.exponential(size=(2, 20)) + np.array([[0.0], [shift]])
        of_the_seeds = chance.normal(size=20)  # one draw a seed, for both
        first, second = (0.6 + 0.02 * (of_the_seeds + own)).tolist()
        (pair,) = compare({"one": ended(first, "one"), "two": ended(second, "two")}, resamples=0)
        count += pair.verdict == "supported"
    return count


def test_a_against_a_is_supported_in_at_most_73_of_1000_benchmarks_of_20_seeds():
    assert (
        20 <= supported(1000, shift=0.0) <= 73
    )  # and not so rarely that the test would find nothing


def test_a_against_b_is_found_in_most_benchmarks_of_20_seeds():
    assert supported(200, shift=1.5) >= 160
