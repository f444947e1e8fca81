"""The trials of a search in memory."""

from __future__ import annotations

import gc
import weakref

import pytest

from tests.search.scripted import result_of
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.search.trial_index import TrialIndex, copy_of
from tuning.simulation.replay import MemoryFiles
from tuning.space.domains import Int
from tuning.space.space import Space
from tuning.study.objective import Maximize, Minimize
from tuning.trial import Proposal, Status


def trial_index_of(*trials, objective=None):
    """Enter (x, status) pairs; None as status leaves a trial open."""
    trial_index = TrialIndex(objective or Minimize("val_loss"), MemoryFiles(), Space({}))
    for number, (x, status) in enumerate(trials):
        enter(trial_index, Proposal(number, {"x": x}, 2), status)
    return trial_index


def enter(trial_index, proposal, status=Status.COMPLETED):
    trial_index._files.write_spec(proposal)
    trial_index.take(proposal)
    if status is not None:
        trial_index.enter(trial_index._files.write_result(result_of(proposal, status)))


DONE, PRUNED, FAILED, DIVERGED = Status.COMPLETED, Status.PRUNED, Status.FAILED, Status.DIVERGED


@pytest.mark.parametrize(
    ("objective", "best"), [(Minimize("val_loss"), 1), (Maximize("val_auc"), 2)]
)
def test_the_best_is_the_earliest_of_the_best_completed_trials(objective, best):
    trial_index = trial_index_of(
        (5, DONE), (3, DONE), (7, DONE), (3, DONE), (7, DONE), (1, PRUNED), objective=objective
    )
    assert trial_index.best.number == best


def test_without_a_completed_trial_there_is_no_best():
    assert trial_index_of((1, PRUNED), (2, FAILED), (3, DIVERGED), (4, None)).best is None


def test_finalists_are_the_best_completed_trials_of_different_parameters():
    trial_index = trial_index_of((5, DONE), (3, DONE), (3, DONE), (1, PRUNED), (4, DONE))
    assert [proposal.number for proposal, _ in trial_index.finalists(2)] == [1, 4]


def test_two_rungs_of_the_same_parameters_are_one_finalist():
    trial_index = trial_index_of((5, DONE), (3, DONE))
    enter(trial_index, Proposal(2, {"x": 3}, 9, parent=1))
    assert [proposal.number for proposal, _ in trial_index.finalists(3)] == [1, 0]


def test_there_may_be_fewer_finalists_than_asked_for():
    assert len(trial_index_of((5, DONE), (3, FAILED)).finalists(3)) == 1


def test_a_trial_of_other_epochs_is_no_duplicate():
    trial_index = trial_index_of((5, DONE))
    longer = Proposal(1, {"x": 5}, 3)
    trial_index.take(longer)
    assert trial_index.duplicate_of(longer) is None


def test_a_diverged_trial_is_a_duplicate_for_it_would_diverge_again():
    trial_index = trial_index_of((5, DIVERGED), (5, None))
    assert trial_index.duplicate_of(trial_index.proposals[1]) == 0


def test_a_trial_of_an_earlier_version_of_the_study_is_no_duplicate(monkeypatch):
    trial_index = trial_index_of((1, DONE), (2, DONE))
    header = SearchHeader(
        study="toy",
        engine="scripted",
        objective=Minimize("val_loss"),
        versions=({}, {}),
        begins=(0, 2),
    )
    monkeypatch.setattr(MemoryFiles, "header", header)
    for number in (2, 3):
        enter(trial_index, Proposal(number, {"x": 1}, 2), None)
    assert [trial_index.duplicate_of(Proposal(number, {"x": 1}, 2)) for number in (2, 3)] == [
        None,
        2,
    ]


def test_a_trial_that_continues_another_is_neither_a_duplicate_nor_copied():
    trial_index = trial_index_of((5, DONE))
    continued = Proposal(1, {"x": 6}, 2, parent=0)
    fresh = Proposal(2, {"x": 6}, 2)
    trial_index.take(continued)
    trial_index.take(fresh)
    assert (trial_index.duplicate_of(continued), trial_index.duplicate_of(fresh)) == (None, None)


def test_a_rung_that_is_trained_from_zero_may_be_copied():
    trial_index = trial_index_of((5, DONE))
    rung = Proposal(1, {"x": 5}, 2, parent=0, continued=False)
    trial_index.take(rung)
    assert trial_index.duplicate_of(rung) == 0


def test_the_copy_of_a_copy_names_the_trial_that_was_trained():
    again = copy_of(copy_of(result_of(Proposal(0, {"x": 3}, 2)), 1), 2)
    assert (again.copied_from, again.number, again.seconds) == (0, 2, 0.0)


def test_a_trial_whose_files_were_damaged_since_is_left_out_of_the_trials(tmp_path):
    trial_index = TrialIndex(Minimize("val_loss"), SearchFiles(tmp_path), Space({"x": Int(1, 9)}))
    for number, x in enumerate([5, 2, 7]):
        enter(trial_index, Proposal(number, {"x": x}, 2))
    (trial_index._files.trial_folder(1) / "result.json").write_text("{")
    assert [(proposal.number, result.number) for proposal, result in trial_index.trials] == [
        (0, 0),
        (2, 2),
    ]


def test_proposals_and_results_are_left_to_the_files():
    trial_index = trial_index_of((5, DONE), (3, DONE), (3, FAILED), (7, PRUNED), (1, None))
    files = trial_index._files
    records = [*files._proposals.values(), *files._results.values()]
    references = [weakref.ref(record) for record in records]
    assert (len(references), len(trial_index.trials)) == (9, 4)
    del records
    files._proposals.clear()
    files._results.clear()
    gc.collect()
    assert [reference() for reference in references] == [None] * 9
