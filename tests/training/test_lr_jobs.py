"""Range tests on a study's own models."""

from __future__ import annotations

from types import SimpleNamespace

import cloudpickle
import numpy as np
import pytest

from tuning.builders.mlp import build_model
from tuning.dataset import Dataset
from tuning.domains import Choice, Float, Int
from tuning.errors import StudyError
from tuning.study import Minimize, Study
from tuning.training.lr_jobs import run_lr_range, structure
from tuning.training.lr_record import LRRangeJob, hull

CONTEXT = SimpleNamespace(report=lambda report: "continue")


def plane() -> Dataset:
    X = np.random.default_rng(0).normal(size=(120, 3))
    return Dataset(name="plane", X=X, y=X.sum(axis=1), task="regression")


def study(**changes) -> Study:
    space = {"n_hidden": Int(0, 2), "lr": Float.from_range_test(1e-4, 1.0), "batch_size": Choice(8, 16, 32)}
    given = {"name": "plane", "builder": build_model, "data": plane, "objective": Minimize("val_loss"), "space": space}
    return Study(**{**given, **changes})


def run(of: Study, **asked):
    return run_lr_range(LRRangeJob(cloudpickle.dumps(of), {}, **{"steps": 40, "seeds": 1, **asked}), CONTEXT)


@pytest.mark.parametrize(("place", "n_hidden", "batch_size"), [("low", 0, 8), ("middle", 1, 16), ("high", 2, 32)])
def test_a_structure_is_a_point_of_the_space_without_the_rate(place, n_hidden, batch_size):
    assert structure(study(), place, "lr") == {"n_hidden": n_hidden, "batch_size": batch_size}


def test_a_structure_is_one_in_which_the_rate_exists():
    space = {"optimizer": Choice("adam", "sgd"), "n_hidden": Int(0, 2), "lr": Float(0.1, 1.0).when(optimizer="sgd")}
    assert structure(study(space=space), "low", "lr") == {"optimizer": "sgd", "n_hidden": 0}


def test_each_structure_is_tested_once_with_its_own_batch_size():
    tests = run(study(), parameter="lr", structures=("low", "middle", "high", "low"))
    assert [(test.study, test.label) for test in tests] == [
        ("plane", "n_hidden=0, batch_size=8"),
        ("plane", "n_hidden=1, batch_size=16"),
        ("plane", "n_hidden=2, batch_size=32"),
    ]
    low, high = hull(tests)
    assert all(low <= test.interval[0] < test.interval[1] <= high for test in tests)


def test_equal_structures_are_tested_once():
    of = study(space={"lr": "from_range_test"})
    assert len(run(of, parameter="lr", structures=("low", "middle", "high"))) == 1


def test_the_same_job_gives_the_same_intervals():
    first, second = (run(study(), parameter="lr")[0] for _ in range(2))
    assert first.interval == second.interval
    assert np.array_equal(first.losses, second.losses)


def test_the_studys_own_bounds_are_fallen_back_on():
    of = study(space={"lr": Float(3e-4, 1e-2, log=True)})
    assert run(of)[0].bounds == (3e-4, 1e-2)
    assert run(study(space={"n_hidden": Int(0, 1)}))[0].bounds == (1e-5, 1.0)


def test_a_parameter_that_is_not_the_rate_is_refused():
    of = study(space={"dropout": Float.from_range_test(1e-3, 0.5)})
    with pytest.raises(StudyError, match=r"with dropout=0\.00123 the optimizer's learning rate is 0\.001; give"):
        run(of, parameter="dropout")
