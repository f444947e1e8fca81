"""Structures that are measured, and the intervals that any other has then."""

from __future__ import annotations

import json

import pytest

from tuning.space.domains import Choice, Float, Int
from tuning.space.positions import Intervals, diagonal, one_by_one, rows_of, structure
from tuning.space.space import Space

RATE = Float.from_range_test(1e-5, 1.0, per_structure=True)
SPACE = Space(
    {
        "n_hidden": Int(1, 3),
        "n_neurons": Int(10, 1000, log=True),
        "optimizer": Choice("sgd", "adam"),
        "lr": RATE,
    }
)
MIDDLE = {"n_hidden": 2, "n_neurons": 100, "optimizer": "sgd"}


def test_a_structure_is_a_point_of_the_space_without_the_rate():
    assert structure(SPACE, "low", "lr") == {"n_hidden": 1, "n_neurons": 10, "optimizer": "sgd"}
    assert structure(SPACE, "high", "lr") == {"n_hidden": 3, "n_neurons": 1000, "optimizer": "adam"}


def test_a_structure_is_one_in_which_the_rate_exists():
    space = Space(
        {
            "optimizer": Choice("adam", "sgd"),
            "n_hidden": Int(0, 2),
            "lr": RATE.when(optimizer="sgd"),
        }
    )
    assert structure(space, "low", "lr") == {"optimizer": "sgd", "n_hidden": 0}
    assert all(point["optimizer"] == "sgd" for point in one_by_one(space, "lr").values())


def test_the_diagonal_goes_from_small_to_large_and_names_nothing_twice():
    assert [point["n_neurons"] for point in diagonal(SPACE, "lr")] == [10, 100, 1000]
    assert diagonal(Space({"lr": RATE}), "lr") == [{}]


def test_one_parameter_at_a_time_leaves_the_middle():
    points = one_by_one(SPACE, "lr")
    assert list(points) == [
        ("", None),
        ("n_hidden", 1),
        ("n_hidden", 3),
        ("n_neurons", 10),
        ("n_neurons", 1000),
        ("optimizer", "adam"),
    ]
    assert points["", None] == MIDDLE
    assert points["n_hidden", 3] == {**MIDDLE, "n_hidden": 3}


def test_what_exists_under_another_value_comes_with_it():
    space = Space(
        {
            "optimizer": Choice("adam", "sgd"),
            "momentum": Float(0.0, 0.8).when(optimizer="sgd"),
            "lr": RATE,
        }
    )
    assert one_by_one(space, "lr")["optimizer", "sgd"] == {"optimizer": "sgd", "momentum": 0.4}


def measured(*rows) -> Intervals:
    """The middle has 0.01 … 0.1, and then the rows given, once through a file."""
    stored = json.loads(json.dumps([["", None, 0.01, 0.1], *rows]))
    return Intervals(SPACE.narrowed({"lr": stored}), "lr")


def test_the_middle_has_the_interval_that_was_measured():
    assert measured().of(MIDDLE) == pytest.approx((0.01, 0.1))


def test_a_structure_that_was_measured_has_its_own_interval():
    intervals = measured(["n_hidden", 3, 0.001, 0.02], ["optimizer", "adam", 0.0005, 0.005])
    assert intervals.of({**MIDDLE, "n_hidden": 3}) == pytest.approx((0.001, 0.02))
    assert intervals.of({**MIDDLE, "optimizer": "adam"}) == pytest.approx((0.0005, 0.005))


def test_effects_of_several_parameters_are_multiplied():
    intervals = measured(["n_hidden", 3, 0.001, 0.01], ["optimizer", "adam", 0.002, 0.02])
    assert intervals.of({**MIDDLE, "n_hidden": 3, "optimizer": "adam"}) == pytest.approx(
        (0.0002, 0.002)
    )


def test_between_two_sizes_the_effect_is_in_between_on_the_parameters_own_scale():
    intervals = measured(["n_neurons", 1000, 0.001, 0.01])
    assert intervals.of({**MIDDLE, "n_neurons": 316}) == pytest.approx(
        (0.01 * 10**-0.5, 0.1 * 10**-0.5), rel=0.01
    )
    assert intervals.of({**MIDDLE, "n_neurons": 10}) == pytest.approx((0.01, 0.1))


def test_an_interval_stays_inside_the_bounds_of_the_test():
    intervals = measured(["n_hidden", 1, 0.1, 1.0], ["optimizer", "adam", 0.1, 1.0])
    assert intervals.of({**MIDDLE, "n_hidden": 1, "optimizer": "adam"}) == (1.0, 1.0)


@pytest.mark.parametrize(("position", "rate"), [(0.0, 0.01), (0.5, 0.01 * 10**0.5), (1.0, 0.1)])
def test_a_position_is_a_rate_on_a_log_scale(position, rate):
    assert measured().rate({**MIDDLE, "lr": position}) == pytest.approx(rate)


def test_a_test_that_found_nothing_has_no_effect_and_a_middle_that_found_nothing_the_bounds():
    intervals = [(("", None), (0.01, 0.1)), (("n_hidden", 1), None), (("n_hidden", 3), (0.1, 1.0))]
    assert rows_of(intervals, (1e-5, 1.0)) == [["", None, 0.01, 0.1], ["n_hidden", 3, 0.1, 1.0]]
    assert rows_of([(("", None), None), (("n_hidden", 3), (0.1, 1.0))], (1e-5, 1.0)) == [
        ["", None, 1e-5, 1.0]
    ]
