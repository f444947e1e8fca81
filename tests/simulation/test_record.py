"""Which points a recording has; what a real one holds is tested with whole simulated searches."""

import pytest

from tuning.errors import StudyError
from tuning.simulation.record import PointsEngine, RecordOptions, record_study, recorded_points
from tuning.space.space import Choice, Float, Int, Space
from tuning.trial import Pause

GRID = Space({"n": Int(10, 50, step=20), "kind": Choice("a", "b")})
LINE = Space({"lr": Float(1e-4, 1.0, log=True)})


def test_a_space_of_choices_and_steps_is_recorded_whole():
    points, words = recorded_points(GRID, 0, None, sobol=False)
    assert points == GRID.grid()
    assert words == "whole grid of 6 points"


def test_fewer_points_of_a_grid_are_a_seeded_sample_of_it():
    points, words = recorded_points(GRID, 0, 4, sobol=False)
    assert len(points) == 4
    assert all(point in GRID.grid() for point in points)
    assert words == "sample of 4 of the grid's 6 points"


def test_a_range_is_recorded_at_the_points_of_a_sobol_sequence():
    points, words = recorded_points(LINE, 0, 10, sobol=False)
    assert len(points) == 10
    assert words == "sobol sample of 10 points"


def test_the_engine_proposes_the_points_in_order_and_ends():
    engine = PointsEngine(GRID.grid(), 7)
    assert [engine.ask(number).params for number in range(6)] == GRID.grid()
    assert engine.ask(0).epochs == 7
    assert engine.ask(6) is Pause.EXHAUSTED


def test_a_study_that_trains_nothing_needs_no_recording(tmp_path, forkserver):
    with pytest.raises(StudyError, match="tuning simulate needs no recording"):
        record_study("branin", RecordOptions(home=str(tmp_path)), forkserver=forkserver)
