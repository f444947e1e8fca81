from __future__ import annotations

import pytest

from tuning.reports.axes import describe, log_ticks, padded, place, ticks
from tuning.reports.plots import far_limit
from tuning.space.space import Choice, Float, Int
from tuning.study.objective import Maximize, Minimize


@pytest.mark.parametrize(
    ("domain", "value", "at"),
    [
        (Float(0.0, 2.0), 0.5, 0.25),
        (Float(1e-4, 1e-2, log=True), 1e-3, 0.5),
        (Int(1, 5), 5, 1.0),
        (Int(3, 3), 3, 0.5),
        (Choice("sgd", None, (1, 2)), None, 0.5),
        (Choice("only"), "only", 0.0),
        (Choice("sgd"), "adam", None),
        (Int(1, 5), 9, None),
    ],
)
def test_a_value_stands_between_low_and_high_log_where_log(domain, value, at):
    assert place(domain, value) == (None if at is None else pytest.approx(at))


@pytest.mark.parametrize(
    ("domain", "labels"),
    [
        (Int(0, 3), ["0", "1", "2", "3"]),
        (Int(1, 100), ["1", "50", "100"]),
        (Int(1, 1000, log=True), ["1", "10", "100", "1000"]),
        (Float(3e-4, 3e-2, log=True), ["0.0003", "0.001", "0.01", "0.03"]),
        (Float(0.5, 0.5), ["0.5"]),
        (Choice("<b>", "a-very-long-name-indeed"), ["&lt;b&gt;", "a-very-long-n…"]),
    ],
)
def test_axes_are_marked_at_round_values(domain, labels):
    assert [label for _, label in ticks(domain)] == labels


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (Int(1, 9, step=2), "1 … 9, step 2"),
        (Float(3e-4, 3e-2, log=True), "0.0003 … 0.03, log"),
        (
            Choice(16, 32).when(optimizer=["sgd", "adam"], n=1),
            "one of 16, 32, where optimizer is sgd or adam and n is 1",
        ),
    ],
)
def test_domains_are_put_into_words(domain, words):
    assert describe(domain) == words


def test_log_ticks_are_round():
    assert [f"{tick:g}" for tick in log_ticks(0.5, 90)][:6] == ["0.1", "0.2", "0.5", "1", "2", "5"]


def test_equal_values_still_make_a_range():
    assert padded([2.0, 2.0]) == [1.9, 2.1]


def test_only_values_far_beyond_the_rest_are_left_out():
    assert far_limit([1.0, 1.1, 1.2, 900.0], Minimize("val_rmse")) == pytest.approx(2.0)
    assert far_limit([0.9, 0.8, 0.7, -50.0], Maximize("val_r2")) == pytest.approx(-0.1)
    assert far_limit([1.0, 1.1, 1.2], Minimize("val_rmse")) == pytest.approx(1.2)
    rounded = [0.9179998265011472, 0.41186061750818165, 0.6304856607729599, 0.5166605105469417]
    assert far_limit(rounded, Minimize("val_rmse")) == max(rounded)
