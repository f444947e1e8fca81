"""Range tests on a study's own models."""

from __future__ import annotations

from types import SimpleNamespace

import cloudpickle
import numpy as np
import pytest

from tuning.builders.mlp import build_model
from tuning.data.dataset import Dataset
from tuning.errors import StudyError
from tuning.lr_range.jobs import run_lr_range
from tuning.lr_range.result import LRRangeJob
from tuning.space.domains import Choice, Float, Int
from tuning.study.objective import Minimize
from tuning.study.study import Study
from tuning.trial import Answer

CONTEXT = SimpleNamespace(slot="cpu:0", report=lambda report: Answer.CONTINUE)


def plane() -> Dataset:
    X = np.random.default_rng(0).normal(size=(120, 3))
    return Dataset(name="plane", X=X, y=X.sum(axis=1), task="regression")


def study(**changes) -> Study:
    space = {
        "n_hidden": Int(0, 2),
        "lr": Float.from_range_test(1e-4, 1.0),
        "batch_size": Choice(8, 16, 32),
    }
    settings = {
        "name": "plane",
        "builder": build_model,
        "data": plane,
        "objective": Minimize("val_loss"),
        "space": space,
    }
    return Study(**{**settings, **changes})


def run(of: Study, **changes):
    settings = {"steps": 40, "seeds": 1, **changes}
    job = LRRangeJob(source=cloudpickle.dumps(of), overrides={}, **settings)
    return run_lr_range(job, CONTEXT)


def test_the_middle_structure_is_tested_where_none_is_named():
    assert run(study(), parameter="lr").label == "n_hidden=1, batch_size=16"


def test_a_structure_is_tested_with_its_own_batch_size():
    test = run(study(), parameter="lr", structure={"n_hidden": 2, "batch_size": 32})
    assert (test.study, test.label, test.batch_size) == ("plane", "n_hidden=2, batch_size=32", 32)
    assert 1e-4 <= test.interval[0] < test.interval[1] <= 1.0


def test_the_same_job_gives_the_same_intervals():
    first, second = (run(study(), parameter="lr") for _ in range(2))
    assert first.interval == second.interval
    assert np.array_equal(first.losses, second.losses)


def test_the_studys_own_bounds_are_fallen_back_on():
    of = study(space={"lr": Float(3e-4, 1e-2, log=True)})
    assert run(of).bounds == (3e-4, 1e-2)
    assert run(study(space={"n_hidden": Int(0, 1)})).bounds == (1e-5, 1.0)


def test_a_parameter_that_is_not_the_rate_is_refused():
    of = study(space={"dropout": Float.from_range_test(1e-3, 0.5)})
    with pytest.raises(
        StudyError, match=r"with dropout=0\.00123 the optimizer's learning rate is 0\.001; give"
    ):
        run(of, parameter="dropout")
