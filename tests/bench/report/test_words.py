"""What is said of a benchmark: supported, not supported, and how many seeds are missing."""

from __future__ import annotations

import pytest

from tests.bench.statistics.curves import ended, run
from tests.bench.statistics.demsar import NAMES, RANKS
from tuning.bench.report.words import method, more_seeds, probability, rank_sentences, sentences
from tuning.bench.statistics.overview import analyse
from tuning.bench.statistics.ranks import rank


def sentences_on(*engines, **fields) -> list[str]:
    runs = [r for name, scores in engines for r in ended(scores, name, **fields)]
    return sentences(analyse(runs, resamples=999))


EIGHT = [0.1 * i for i in range(8)]


def test_a_supported_difference_is_told_with_its_size_record_and_p():
    lines = sentences_on(("a", EIGHT), ("b", [v + 1 for v in EIGHT]))
    assert lines == [
        "toy: the best median val_rmse after 20 epochs is 0.3500, by a over 8 seeds; "
        "supported against b.",
        "toy: a reaches a lower val_rmse than b, by 1.000 in the median (1.000 to 1.000); "
        "better in 8, worse in 0 of 8 seeds, p = 0.0078. Supported.",
    ]


def test_where_higher_is_better_it_says_higher():
    lines = sentences_on(("a", EIGHT), ("b", [v + 1 for v in EIGHT]), direction="maximize")
    assert "b reaches a higher val_rmse than a" in lines[1]


def test_five_seeds_are_told_to_be_too_few_and_what_the_least_would_be():
    lines = sentences_on(("a", [1, 2, 3, 4, 5]), ("b", [2, 3, 4, 5, 6]))
    assert lines[1:] == [
        "toy: 5 seeds can support no difference, however large: "
        "p ≤ 0.05 takes at least 6 seeds for each engine. At least 1 more seed would be needed."
    ]


def test_many_comparisons_are_told_to_take_more_seeds():
    lines = sentences_on(
        *((name, [v + place for v in EIGHT]) for place, name in enumerate("abcdef"))
    )
    assert lines[-1] == (
        "toy: 8 seeds can support no difference, however large: "
        "p ≤ 0.05 in 15 comparisons takes at least 10 seeds for each engine. "
        "At least 2 more seeds would be needed."
    )


def test_an_unsupported_difference_names_the_seeds_that_are_missing():
    lines = sentences_on(("a", [1, 2, 3, 4, 5, 6, 7, 8]), ("b", [2, 1, 5, 3, 9, 5, 8.5, 7.2]))
    assert lines[1] == "toy: no difference between two engines is supported."
    assert lines[2].startswith(
        "toy: a and b are not told apart (better in 4, worse in 4 of 8 seeds, p = "
    )
    assert "If the difference seen so far is real, about " in lines[2]
    assert lines[2].endswith(" more seeds would be needed to support it with 80 % power.")


def test_equal_engines_are_told_to_be_equal():
    lines = sentences_on(("a", EIGHT), ("b", EIGHT))
    assert lines[-1] == (
        "toy: a and b ended with equal values on all 8 seeds; "
        "no number of seeds is known to tell them apart."
    )


def test_what_the_test_part_says_is_told_of_supported_differences():
    better = ended(EIGHT, "a", tests=(1.0, 0.5)) + ended(
        [v + 1 for v in EIGHT], "b", tests=(1.0, 2.0)
    )
    assert sentences(analyse(better, resamples=99))[-1].endswith(
        "Supported. The test set says the same (p = 0.0078)."
    )
    worse = ended(EIGHT, "a", tests=(1.0, 2.0)) + ended(
        [v + 1 for v in EIGHT], "b", tests=(1.0, 0.5)
    )
    assert "The test set does not confirm it" in sentences(analyse(worse, resamples=99))[-1]


def test_searches_that_completed_nothing_are_counted():
    lines = sentences_on(("a", [*EIGHT[:7], None]), ("b", [v + 1 for v in EIGHT]))
    assert lines[0].endswith("a: 1 of 8 searches completed no trial.")


def test_a_study_where_nothing_was_completed_has_nothing_to_compare():
    assert sentences_on(("a", [None]), ("b", [None])) == [
        "toy: no engine's median search completed a trial, so there is nothing to compare."
    ]


def test_one_engine_is_told_without_a_comparison():
    assert sentences(analyse([run([0.5])], resamples=99)) == [
        "toy: the best median val_rmse after 10 epochs is 0.5000, by a over 1 seed."
    ]


def test_ranks_that_friedman_rejects_name_who_is_above_whom():
    lines = rank_sentences(rank(RANKS, NAMES, alpha=0.10))
    assert lines[0] == (
        "Mean ranks over 14 studies (1 is best): "
        "C4.5+m+cf 1.96, C4.5+m 2.00, C4.5+cf 2.89, C4.5 3.14."
    )
    assert lines[1].endswith("C4.5+m+cf ranks above C4.5; C4.5+m ranks above C4.5.")


def test_ranks_that_differ_without_a_pair_are_told_so():
    assert "do differ" in rank_sentences(rank(RANKS, NAMES))[1]


def test_ranks_that_friedman_does_not_reject_ask_for_more_studies():
    lines = rank_sentences(rank(RANKS[:3], NAMES))
    assert lines[1].startswith("Over these studies the engines are not told apart (Friedman, p = ")


@pytest.mark.parametrize(
    ("seeds", "word"),
    [(1, "about 1 more seed would"), (12, "about 12 more seeds"), (5000, "more than 1,000 more")],
)
def test_missing_seeds_are_told_in_round_words(seeds, word):
    assert word in more_seeds(seeds)


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.00001, "< 0.0001"), (0.00123, "0.0012"), (0.0312, "0.031"), (0.5, "0.50"), (1.0, "1.00")],
)
def test_p_values_have_two_digits(p, text):
    assert probability(p) == text


def test_the_method_is_told_with_the_level_used():
    assert "p ≤ 0.01" in " ".join(method(analyse([run([1.0])], alpha=0.01, resamples=99)))
