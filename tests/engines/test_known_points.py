"""Every engine that can begins with the points that a study says are good; others refuse."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engines.contract import make_parts, make_study, run
from tuning import Choice, Float, Int
from tuning.engines.catalog import make_engine
from tuning.errors import StudyError
from tuning.space.alternatives import alternative
from tuning.space.space import Space
from tuning.study.engine_spec import engine_specs

SPACE = {
    "n_hidden": Int(0, 3),
    "lr": Float(1e-3, 1.0, log=True),
    "batch_size": Choice(16, 32),
}
POINTS = [{"n_hidden": np.int64(1), "lr": 0.02, "batch_size": 32}, {"lr": np.float64(0.5)}]
ENGINES = [
    name
    for name, spec in engine_specs().items()
    if (spec.takes_initial or spec.takes_points) and not spec.extra
]


def proposals(engine, n=3, **changes):
    study = make_study(engine, Space(SPACE), **changes)
    made = make_engine(study, make_parts)
    try:
        return [proposal.params for proposal in run(made, n, slots=1)]
    finally:
        made.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_it_begins_with_the_known_points_and_completes_what_they_leave_out(engine):
    first, second, third = proposals(engine, initial=POINTS)
    assert first == {"n_hidden": 1, "lr": 0.02, "batch_size": 32}
    assert type(first["n_hidden"]) is int
    assert second["lr"] == 0.5
    Space(SPACE).check(second)
    assert third not in (first, second)
    assert proposals(engine, initial=POINTS)[:2] == [first, second]


@pytest.mark.parametrize("engine", ["randomizedsearchcv", "keras-tuner:hyperband", "capacity"])
def test_an_engine_that_plans_its_own_first_points_refuses_them(engine):
    with pytest.raises(StudyError, match=f"initial: {engine} chooses its own first points"):
        make_study(engine, Space(SPACE), initial=POINTS)


@pytest.mark.parametrize("engine", ["optuna:tpe", "optuna:grid", "gridsearchcv"])
def test_a_known_point_may_lie_in_another_of_a_names_domains(engine):
    units = alternative([Choice(8, 16).when(deep=True), Choice(64, 128).when(deep=False)])
    space = Space({"deep": Choice(True, False), "units": units})
    study = make_study(engine, space, initial=[{"deep": False, "units": 128}])
    made = make_engine(study, make_parts)
    try:
        assert made.ask(0).params == {"deep": False, "units": 128}
    finally:
        made.close()


def test_what_is_wrong_with_a_point_is_told_with_its_place():
    with pytest.raises(StudyError) as error:
        make_study("optuna:tpe", Space(SPACE), initial=[{"lr": 0.1}, {"lr": 7.0, "width": 3}])
    assert len(error.value.faults) == 2
    assert all(fault.startswith("initial[1]: ") for fault in error.value.faults)
    with pytest.raises(StudyError, match="initial must be a number of points, or a list"):
        make_study("optuna:tpe", Space(SPACE), initial="best")


@pytest.mark.parametrize("engine", ["optuna:tpe", "optuna:random", "keras-tuner:random"])
def test_what_it_draws_itself_is_not_what_the_known_points_search_drew(engine):
    before = proposals(engine, n=4)
    after = proposals(engine, n=6, initial=before[:2])
    assert after[:2] == before[:2]
    assert all(point not in before for point in after[2:])
