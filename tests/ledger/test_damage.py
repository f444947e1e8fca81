"""Damaged and foreign files of a search: left out by readers, set aside by its owner."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace

import pytest

from tests.ledger.test_search import HEADER, OUTCOME, SPACE
from tests.tracking.writer.searches import winner
from tuning.errors import DamagedFileError
from tuning.ledger.begin import begin
from tuning.ledger.damage import SetAside
from tuning.ledger.digests import ask_digest, finalist_digest
from tuning.ledger.records import write_record
from tuning.ledger.search import SearchFiles
from tuning.storage.durable import read_json, write_json
from tuning.trial import Proposal, Status, TrialResult

FIRST = Proposal(0, {"lr": 0.1, "shape": (8, 8)}, 3, study="abc-1")
OTHER = replace(FIRST, params={"lr": 0.2, "shape": None})
DONE = TrialResult(0, Status.COMPLETED, 0.5)


@pytest.fixture
def notices():
    return []


@pytest.fixture
def files(tmp_path, notices):
    return begin(
        tmp_path / "key",
        HEADER,
        fresh=False,
        allow_change=False,
        on_damage=SetAside(notices.append),
    )


def test_a_result_carries_the_digest_of_its_ask_and_nothing_else_is_new_in_old_files(files):
    asked = files.write_spec(FIRST)
    assert files.write_result(DONE).proposal_digest == asked.digest
    assert files.proposal(0, SPACE).digest == asked.digest
    assert "study" not in replace(FIRST, study="").to_json()
    assert "proposal_digest" not in DONE.to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"lr": 0.1, "shape": [8, 9]}},
        {"epochs": 4},
        {"parent": 1},
        {"continued": False},
        {"study": "abc-2"},
        {"number": 1},
    ],
)
def test_every_part_of_an_ask_is_in_its_digest(change):
    assert ask_digest({**FIRST.to_json(), **change}) != ask_digest(FIRST.to_json())


def test_what_led_to_an_ask_and_its_way_through_a_file_leave_the_digest_as_it_is(tmp_path):
    stored = replace(FIRST, params={"lr": 1.0, "shape": (8, 8)}, tells=(1, 2)).to_json()
    write_json(tmp_path / "spec.json", stored)
    read_back = read_json(tmp_path / "spec.json")
    assert ask_digest(read_back) == ask_digest({**stored, "tells": []})


def test_a_result_of_other_parameters_counts_as_none_and_is_set_aside_with_its_checkpoints(
    files, notices
):
    files.write_spec(FIRST)
    files.write_result(DONE)
    _, attempt = files.begin_attempt(0)
    (attempt / "fold-0.npz").write_bytes(b"weights of the first")
    spec = files.trial_folder(0) / "spec.json"
    write_json(spec, OTHER.to_json())

    assert files.result(0) is None
    aside = files.trial_folder(0) / "foreign-1"
    assert {path.name for path in aside.iterdir()} == {"result.json", "attempt-1"}
    assert "not what belongs there (it is of other parameters or another study)" in notices[0]
    assert spec.exists()
    assert files.begin_attempt(0)[0] == 1


def test_a_result_of_another_trial_counts_as_none_though_it_has_no_digest(files):
    files.write_result(DONE)
    shutil.copytree(files.trial_folder(0), files.trial_folder(1))
    assert files.result(1) is None


def test_an_ask_that_was_changed_is_told(files):
    files.write_spec(FIRST)
    spec = files.trial_folder(0) / "spec.json"
    write_json(spec, {**read_json(spec), "epochs": 4})
    with pytest.raises(DamagedFileError, match="it was changed since it was written"):
        files.proposal(0, SPACE)


def test_an_ask_never_finds_what_one_that_was_lost_has_left(files, notices):
    files.write_spec(FIRST)
    files.write_result(replace(DONE))
    spec = files.trial_folder(0) / "spec.json"
    spec.write_bytes(spec.read_bytes()[:20])

    assert list(files.proposals(SPACE)) == []
    files.write_spec(OTHER)
    assert files.result(0) is None
    assert (files.trial_folder(0) / "foreign-1" / "result.json").exists()
    assert ["spec.json" in notices[0], "its ask was lost" in notices[1]] == [True, True]


def test_the_same_ask_again_takes_the_result_that_it_had(files, notices):
    files.write_spec(FIRST)
    files.write_result(DONE)
    (files.trial_folder(0) / "spec.json").write_bytes(b"")
    assert list(files.proposals(SPACE)) == []
    files.write_spec(FIRST)
    assert files.result(0) == DONE
    assert len(notices) == 1


def test_a_result_without_a_digest_is_set_aside_where_its_ask_was_lost(files):
    """Release 0.1 wrote none: whose it is, nobody can say."""
    files.trial_folder(0).mkdir(parents=True)
    write_json(files.trial_folder(0) / "result.json", DONE.to_json())
    files.write_spec(FIRST)
    assert files.result(0) is None


def test_a_damaged_result_is_kept_beside_the_new_one(files, notices):
    files.write_spec(FIRST)
    path = files.trial_folder(0) / "result.json"
    write_json(path, {"number": 0, "status": "splendid"})
    assert files.result(0) is None
    files.write_result(DONE)
    assert files.result(0) == DONE
    assert read_json(path.with_name("result.json.damaged-1"))["status"] == "splendid"
    assert notices == [f"{path} is damaged (it lacks 'value'): set aside as result.json.damaged-1"]


def test_a_finalist_of_other_parameters_is_trained_again(files, notices):
    digest = finalist_digest(FIRST.params, 3, "abc-1")
    files.write_finalist(replace(OUTCOME, digest=digest))
    assert files.finalist(0, 0, digest=digest) == OUTCOME
    assert files.finalist(0, 0, digest=finalist_digest(OTHER.params, 3, "abc-1")) is None
    assert files.finalist_file(0, 0).with_name("0.json.foreign-1").exists()
    assert len(notices) == 1


def test_a_reader_leaves_damaged_files_where_they_are_and_says_so_once(files, caplog):
    files.write_spec(FIRST)
    path = files.trial_folder(0) / "result.json"
    path.write_text("[]")
    reader = SearchFiles(files.folder)
    with caplog.at_level(logging.WARNING):
        assert [reader.result(0), reader.result(0)] == [None, None]
    assert [f"{path} is damaged" in record.message for record in caplog.records] == [True]
    assert path.read_text() == "[]"


def test_fresh_begins_anew_beside_a_damaged_header(files, tmp_path):
    files.write_spec(FIRST)
    (files.folder / "search.json").write_text("[]")
    with pytest.raises(DamagedFileError, match=r"search\.json is damaged"):
        files.require_header()
    again = begin(files.folder, HEADER, fresh=True, allow_change=False)
    assert list(again.proposals(SPACE)) == []
    (aside,) = (path for path in tmp_path.iterdir() if "~" in path.name)
    assert (aside / "search.json").read_text() == "[]"


def test_a_winner_of_another_search_counts_as_none_and_is_set_aside(files, notices, tmp_path):
    other = begin(tmp_path / "other", HEADER, fresh=False, allow_change=False)
    for each in (files, other):
        each.write_winner(winner())
    assert files.winner == other.winner == winner()
    shutil.copy(other.winner_file, files.winner_file)
    assert files.winner is None
    assert files.winner_file.with_name("winner.json.foreign-1").exists()
    assert f"it is of search {other.header.id}" in notices[0]


def test_a_winner_outlives_the_header_of_its_search(files, notices):
    files.write_spec(FIRST)
    files.write_winner(winner())
    (files.folder / "search.json").unlink()
    again = begin(files.folder, HEADER, fresh=False, allow_change=False, on_damage=files.on_damage)
    assert again.header.recovered
    assert (again.winner, notices) == (winner(), [])


def test_a_winner_of_an_earlier_version_does_not_say_whose_it_is_and_is_read(files):
    write_record(files.winner_file, winner())
    assert "search" not in read_json(files.winner_file)
    assert files.winner == winner()
