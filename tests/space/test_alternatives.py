"""One name with other domains under other conditions: points, grids, JSON, what engines see."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tuning.errors import StudyError
from tuning.space.alternatives import alternative
from tuning.space.domains import Choice, Float, Int
from tuning.space.space import Space

UNITS = alternative([Choice(8, 16).when(deep=True), Choice(64, 128).when(deep=False)])
SPACE = Space({"deep": Choice(True, False), "units": UNITS, "x": Int(1, 3).when(units=[8, 64])})


def test_the_hull_holds_the_values_of_all():
    assert UNITS.values == (8, 16, 64, 128)
    assert alternative([Int(1, 3).when(a=1), Int(5, 9).when(a=2)]).high == 9
    assert alternative([Int(1, 3).when(a=1), Float(0.5, 2.0).when(a=2)]).low == 0.5
    assert alternative([Int(1, 2).when(a=1), Choice("x").when(a=2)]).values == (1, 2, "x")


def test_what_json_gives_back_is_of_the_alternative_that_exists():
    mixed = alternative([Int(1, 4).when(deep=True), Float(0.5, 2.0).when(deep=False)])
    space = Space({"deep": Choice(True, False), "depth": mixed})
    for read in (space.decode, space.decode_known):
        depth = read({"deep": True, "depth": 3})["depth"]
        assert (depth, type(depth)) == (3, int)
        assert type(read({"deep": False, "depth": 1})["depth"]) is float


def test_points_drawn_lie_in_the_alternative_that_exists():
    for seed in range(50):
        SPACE.check(SPACE.sample(np.random.default_rng(seed)))


def test_a_value_of_another_alternative_is_refused():
    with pytest.raises(StudyError, match=r"'units' is 64, outside Choice\(8, 16\)"):
        SPACE.check({"deep": True, "units": 64, "x": 1})


def test_a_grid_has_each_alternative_where_it_exists_and_no_point_twice():
    points = SPACE.grid()
    assert len(points) == len({repr(point) for point in points}) == 8
    assert {"deep": False, "units": 128} in points


def test_engines_see_a_parameter_for_each_and_fold_back_to_the_one_name():
    inner = SPACE.expanded
    assert list(inner.domains) == ["deep", "units", "units#2", "x", "x#2"]
    point = {"deep": False, "units": 64, "x": 2}
    assert inner.unfold(point) == {"deep": False, "units#2": 64, "x#2": 2}
    assert inner.fold(inner.unfold(point)) == point


def test_it_survives_json():
    assert Space.from_json(json.loads(json.dumps(SPACE.to_json()))) == SPACE


def test_a_stepped_float_has_the_values_on_its_steps_alone():
    rate = Float(0.0, 0.5, step=0.1)
    assert rate.cut() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert rate.contains(0.1 + 0.2)
    assert not rate.contains(0.25)
    assert {rate.sample(np.random.default_rng(seed)) for seed in range(60)} == set(rate.cut())
    assert Space({"rate": rate}).finite


def test_a_float_without_steps_is_written_as_before():
    assert repr(Float(0.0, 1.0)) == "Float(conditions=(), low=0.0, high=1.0, log=False)"
    assert list(Float(0.0, 1.0, step=0.0).faults())
    assert list(Float(0.1, 1.0, step=0.1, log=True).faults())
