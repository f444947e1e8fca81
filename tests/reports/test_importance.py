from __future__ import annotations

import numpy as np
import pytest

from tuning.reports.importance import importances
from tuning.space.space import Choice, Float, Int, Space
from tuning.study.objective import Maximize, Minimize
from tuning.trial import Proposal, Status, TrialResult

SPACE = Space(
    {
        "lr": Float(1e-4, 1e-1, log=True),
        "n": Int(1, 10, step=2),
        "optimizer": Choice("sgd", None, (1, 2)),
        "momentum": Float(0.0, 0.9).when(optimizer="sgd"),
    }
)


def trials_where_only_lr_matters(count):
    rng = np.random.default_rng(0)
    points = [SPACE.sample(rng) for _ in range(count)]
    return [
        (Proposal(n, p, 1), TrialResult(n, Status.COMPLETED, abs(np.log10(p["lr"]) + 2)))
        for n, p in enumerate(points)
    ]


@pytest.mark.parametrize("objective", [Minimize("val_rmse"), Maximize("val_r2")])
def test_the_parameter_that_matters_comes_first(objective):
    trials = trials_where_only_lr_matters(60)
    if objective.direction == "maximize":
        trials = [(p, TrialResult(r.number, r.status, -r.value)) for p, r in trials]
    shares = importances(trials, SPACE, objective)
    assert next(iter(shares)) == "lr"
    assert sum(shares.values()) == pytest.approx(1)
    assert {*shares} == {*SPACE}


def test_below_ten_completed_trials_nothing_is_claimed():
    assert importances(trials_where_only_lr_matters(9), SPACE, Minimize("val_rmse")) == {}


def test_a_value_the_space_no_longer_has_is_left_out():
    trials = trials_where_only_lr_matters(20)
    narrow = Space({"lr": Float(1e-3, 1e-2, log=True), "gone": Int(1, 2)})
    assert {*importances(trials, narrow, Minimize("val_rmse"))} == {"lr"}


def test_nothing_is_printed(capsys):
    importances(trials_where_only_lr_matters(12), SPACE, Minimize("val_rmse"))
    assert capsys.readouterr() == ("", "")
