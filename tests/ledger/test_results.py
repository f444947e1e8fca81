"""`result.json`: written once, never over one that is whole."""

from __future__ import annotations

import math
import shutil

import pytest

from tuning.errors import NewerFileError
from tuning.ledger.damage import SetAside
from tuning.ledger.results import keep_result, keep_test_score, read_result, read_test_score
from tuning.schema import SCHEMA
from tuning.storage.durable import read_json, write_json
from tuning.trial import Proposal, Status, TrialResult


def test_what_was_kept_is_read_again(tmp_path):
    result = TrialResult(3, Status.DIVERGED, metrics={"loss": math.inf}, notices=("half batch",))
    assert keep_result(tmp_path, result) == result
    assert read_result(tmp_path) == result


def test_the_first_result_stays_and_is_what_a_second_attempt_gets(tmp_path):
    first = TrialResult(3, Status.COMPLETED, value=0.5)
    keep_result(tmp_path, first)
    before = (tmp_path / "result.json").stat().st_ino
    assert keep_result(tmp_path, TrialResult(3, Status.FAILED, attempt=2)) == first
    assert (tmp_path / "result.json").stat().st_ino == before


@pytest.mark.parametrize("torn", [b"", b'{"number": 3, "sta', b"\0" * 40])
def test_a_torn_result_is_none_and_is_replaced(tmp_path, torn):
    (tmp_path / "result.json").write_bytes(torn)
    assert read_result(tmp_path) is None
    result = TrialResult(3, Status.FAILED, error="ValueError: no")
    assert keep_result(tmp_path, result) == result == read_result(tmp_path)


def test_a_trial_without_a_result_has_none(tmp_path):
    assert read_result(tmp_path / "trial") is None


@pytest.fixture
def trials(tmp_path):
    """Two trials of other parameters, each with its score on the test part."""
    folders = [tmp_path / "00000", tmp_path / "00001"]
    for number, folder in enumerate(folders):
        write_json(folder / "spec.json", Proposal(number, {"lr": 0.1 + number}, 3).to_json())
        keep_test_score(folder, "rmse", 0.5 + number)
    return folders


def test_a_test_score_is_that_of_its_own_trial(trials):
    assert [read_test_score(folder) for folder in trials] == [0.5, 1.5]


def test_a_test_score_of_another_trial_is_none_and_is_set_aside(trials):
    shutil.copy(trials[1] / "test.json", trials[0] / "test.json")
    notices = []
    assert read_test_score(trials[0], on_damage=SetAside(notices.append)) is None
    assert (trials[0] / "test.json.foreign-1").exists()
    assert "it is of other parameters or another study" in notices[0]


def test_a_test_score_of_an_ask_that_was_lost_is_none_for_the_next(trials):
    write_json(trials[0] / "spec.json", Proposal(0, {"lr": 0.7}, 3).to_json())
    assert read_test_score(trials[0]) is None


def test_a_test_score_that_is_cut_off_is_none(trials):
    path = trials[0] / "test.json"
    path.write_bytes(path.read_bytes()[:-9])
    assert read_test_score(trials[0]) is None


def test_a_test_score_of_an_earlier_version_is_read_and_one_of_a_later_refused(trials):
    write_json(trials[0] / "test.json", {"rmse": 0.25})
    assert read_test_score(trials[0]) == 0.25
    path = trials[1] / "test.json"
    write_json(path, {**read_json(path), "schema": SCHEMA + 1})
    with pytest.raises(NewerFileError, match="written by a newer release"):
        read_test_score(trials[1])
