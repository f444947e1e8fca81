"""The unit cube: distances in a space, and samples that fill it."""

import numpy as np
import pytest

from tuning.space.space import Choice, Float, Int, Space
from tuning.study.unit_cube import coordinates, sobol_points

SPACE = Space(
    {
        "lr": Float(1e-4, 1.0, log=True),
        "n": Int(0, 10),
        "step": Int(2, 10, step=4),
        "kind": Choice("a", None, 3),
        "momentum": Float(0.0, 1.0).when(kind="a"),
    }
)


def test_ranges_go_from_0_to_1_on_their_own_scale():
    low = coordinates(SPACE, {"lr": 1e-4, "n": 0, "step": 2, "kind": None})
    high = coordinates(SPACE, {"lr": 1.0, "n": 10, "step": 10, "kind": None})
    middle = coordinates(SPACE, {"lr": 1e-2, "n": 5, "step": 6, "kind": None})
    assert low[:3] == pytest.approx([0, 0, 0])
    assert high[:3] == pytest.approx([1, 1, 1])
    assert middle[:3] == pytest.approx([0.5, 0.5, 0.5])


def test_two_values_of_a_choice_are_as_far_apart_as_the_ends_of_a_range():
    space = Space({"kind": Choice("a", None, 3)})
    a, b = coordinates(space, {"kind": None}), coordinates(space, {"kind": 3})
    assert np.linalg.norm(a - b) == pytest.approx(1.0)


def test_a_parameter_that_does_not_exist_lies_in_the_middle():
    assert coordinates(SPACE, {"lr": 1e-4, "n": 0, "step": 2, "kind": 3})[-1] == 0.5


def test_a_sobol_sample_lies_in_the_space_and_repeats_itself_by_seed():
    points = sobol_points(SPACE, 50, seed=1)
    for point in points:
        SPACE.check(point)
    assert len({repr(point) for point in points}) == 50
    assert points == sobol_points(SPACE, 50, seed=1)
    assert points != sobol_points(SPACE, 50, seed=2)


def test_a_sobol_sample_fills_a_range_evenly():
    drawn = sorted(point["x"] for point in sobol_points(Space({"x": Float(0.0, 1.0)}), 64, seed=0))
    assert max(abs(x - (i + 0.5) / 64) for i, x in enumerate(drawn)) < 1 / 64


def test_a_space_of_few_points_gives_each_of_them_once():
    space = Space({"n": Int(1, 3), "kind": Choice("a", "b")})
    assert len(sobol_points(space, 100, seed=0)) == 6
