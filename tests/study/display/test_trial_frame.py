"""The trials of a search as a DataFrame."""

from __future__ import annotations

import math

from tuning.study.display.trial_frame import trial_frame
from tuning.trial import Proposal, Status, TrialResult


def pair(number: int, value: float | None, **params: object) -> tuple[Proposal, TrialResult]:
    status = Status.FAILED if value is None else Status.COMPLETED
    metrics = {} if value is None else {"val_rmse": value, "val_r2": 0.5}
    result = TrialResult(number, status, value, metrics, epochs=7, seconds=1.5)
    return Proposal(number, params, 9), result


def test_a_row_is_a_trial_and_a_column_a_parameter_or_a_figure():
    frame = trial_frame([pair(0, 0.7, lr=0.1), pair(2, 0.6, lr=0.2, depth=3)], "val_rmse")
    assert list(frame.index) == [0, 2]
    assert frame.index.name == "trial"
    figures = ["val_rmse", "val_r2", "status", "trained_epochs", "seconds"]
    assert list(frame.columns) == ["lr", "depth", *figures]
    assert list(frame["val_rmse"]) == [0.7, 0.6]
    assert math.isnan(frame["depth"][0])


def test_a_failed_trial_has_its_parameters_and_no_value():
    frame = trial_frame([pair(1, None, lr=0.3)], "val_rmse")
    assert frame["lr"][1] == 0.3
    assert frame["val_rmse"].isna().all()
    assert frame["status"][1] == "failed"


def test_a_parameter_of_the_name_of_a_figure_keeps_its_own_column():
    frame = trial_frame([pair(0, 0.7, seconds=30)], "val_rmse")
    assert frame["params.seconds"][0] == 30
    assert frame["seconds"][0] == 1.5


def test_no_trial_is_an_empty_frame_with_the_same_columns():
    frame = trial_frame([], "val_rmse")
    assert list(frame.columns) == ["val_rmse", "status", "trained_epochs", "seconds"]
    assert frame.empty
