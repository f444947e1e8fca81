"""Optuna's dashboard is shown the trials by number, also where they ended in another order."""

from __future__ import annotations

from optuna.trial import TrialState

from tests.tracking.writer.searches import end, search, trial
from tuning.tracking.optuna_dashboard.ordered_storage import OrderedStorage
from tuning.tracking.optuna_storage import OptunaProjection


def shown(tmp_path, numbers):
    files = search(tmp_path)
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    projection = OptunaProjection(storage)
    projection.begin(files.header)
    for number in numbers:  # in the order in which they end
        projection.record_trials([trial(number)])
    end(files)
    ordered = OrderedStorage(storage)
    (study,) = ordered.get_all_studies()
    return ordered, study._study_id


def test_trials_come_by_number(tmp_path):
    ordered, study = shown(tmp_path, (0, 2, 1, 3))
    trials = ordered.get_all_trials(study)
    assert [each.number for each in trials] == [0, 1, 2, 3]
    assert {each.state for each in trials} == {TrialState.COMPLETE}


def test_one_that_has_not_ended_is_waiting_at_its_place(tmp_path):
    ordered, study = shown(tmp_path, (0, 3))
    states = [each.state for each in ordered.get_all_trials(study)]
    assert states == [
        TrialState.COMPLETE,
        TrialState.WAITING,
        TrialState.WAITING,
        TrialState.COMPLETE,
    ]
    some = ordered.get_all_trials(study, states=(TrialState.COMPLETE,))
    assert [each.number for each in some] == [0, 3]
