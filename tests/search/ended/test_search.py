"""Whether the files alone answer for a search: only where nothing at all is left to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.scripted import RECORD
from tuning.ledger.begin import begin
from tuning.ledger.records import SearchHeader, SearchStatus, counts
from tuning.search.ended.search import ended_search
from tuning.storage.durable import read_json, write_json
from tuning.trial import Proposal, Status, TrialResult

STUDY = replace(RECORD, trials=3)
HEADER = SearchHeader(
    study=STUDY.name,
    engine=STUDY.engine,
    objective=STUDY.objective,
    versions=(STUDY.definition,),
    trials=STUDY.trials,
)


@pytest.fixture
def files(tmp_path):
    """Return the files of a search of three trials, all completed."""
    files = begin(tmp_path / "key", HEADER, fresh=False, allow_change=False)
    for number in range(3):
        files.write_spec(Proposal(number, {"x": number}, 2, study=STUDY.pinned))
        files.write_result(TrialResult(number, Status.COMPLETED, 0.5))
    write_status(files, "completed")
    return files


def write_status(files, word, n_trials=3):
    trials = [Status.COMPLETED] * n_trials
    files.write_status(SearchStatus(status=word, counts=counts(trials), at=1.0))


def test_the_files_of_an_ended_search_have_all_its_trials_by_number(files):
    ended = ended_search(files, STUDY)
    assert [proposal.params["x"] for proposal, _ in ended.trials] == [0, 1, 2]
    assert [result.number for result in ended.results] == [0, 1, 2]
    assert (ended.status, ended.exhausted) == ("completed", False)


def test_an_exhausted_search_has_ended_below_its_budget(files):
    write_status(files, "exhausted")
    files.write_header(replace(files.header, trials=9))
    assert ended_search(files, replace(STUDY, trials=9)).exhausted


def is_running(files):
    write_status(files, "running")


def was_stopped(files):
    write_status(files, "interrupted")


def has_no_status(files):
    (files.folder / "status.json").unlink()


def counts_others(files):
    write_status(files, "completed", n_trials=4)


def lost_its_header(files):
    files.write_header(replace(files.header, recovered=True))


def was_begun_otherwise(files):
    files.write_header(replace(files.header, versions=({"space": {"y": 1}},)))


def has_another_budget(files):
    files.write_header(replace(files.header, trials=4))


def has_an_open_trial(files):
    files.write_spec(Proposal(3, {"x": 3}, 2))


def lacks_a_result(files):
    (files.trial_folder(1) / "result.json").unlink()


def has_an_ask_of_other_data(files):
    path = files.trial_folder(2) / "spec.json"
    stored = read_json(path)
    stored.pop("digest")
    write_json(path, {**stored, "study": "another-1"})
    path.with_name("result.json").unlink()
    files.write_result(TrialResult(2, Status.COMPLETED, 0.5))


@pytest.mark.parametrize(
    "change",
    [
        is_running,
        was_stopped,
        has_no_status,
        counts_others,
        lost_its_header,
        was_begun_otherwise,
        has_another_budget,
        has_an_open_trial,
        lacks_a_result,
        has_an_ask_of_other_data,
    ],
)
def test_the_engine_is_asked_again_where_a_search(files, change):
    assert ended_search(files, STUDY) is not None
    change(files)
    assert ended_search(files, STUDY) is None


def test_trials_that_were_never_trained_use_up_no_budget(files):
    files.write_spec(Proposal(3, {"x": 3}, 2, study=STUDY.pinned))
    refused = TrialResult(3, Status.INFEASIBLE, violations={"params": 1.0})
    assert refused.never_trained
    files.write_result(refused)
    ends = [Status.COMPLETED] * 3 + [Status.INFEASIBLE]
    files.write_status(SearchStatus(status="completed", counts=counts(ends), at=1.0))
    assert len(ended_search(files, STUDY).trials) == 4

    files.write_header(replace(files.header, trials=4))
    assert ended_search(files, replace(STUDY, trials=4)) is None


def test_searched_arguments_of_the_data_are_looked_at_trial_by_trial(files):
    assert ended_search(files, replace(STUDY, data_arguments=("window",))) is None
