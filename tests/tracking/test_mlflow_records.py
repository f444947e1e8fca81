"""How a trial's record becomes MLflow's tags."""

from __future__ import annotations

from tuning.tracking.base import SearchRecord
from tuning.tracking.mlflow_records import trial_tags
from tuning.trial import Finding, Proposal, Status, TrialResult

SEARCH = SearchRecord("s-1", "housing", "capacity", "val_rmse", "minimize", 0.0)


def tags(*diagnosis):
    return trial_tags(
        SEARCH, Proposal(0, {}, 3), TrialResult(0, Status.COMPLETED, 1.0, diagnosis=diagnosis)
    )


def test_a_diagnosis_is_a_tag_in_words_and_a_healthy_trial_has_none():
    ill = (Finding("lr_too_high", "warning", "jumps"), Finding("overfitting", "warning", "gap"))
    assert tags(*ill)["diagnosis"] == "lr_too_high: jumps; overfitting: gap"
    assert "diagnosis" not in tags()
