"""`died.json`: attempts that took their worker with them, each counted for its own trial alone."""

from __future__ import annotations

import shutil

import pytest

from tests.ledger.test_search import HEADER
from tuning.errors import NewerFileError
from tuning.ledger.begin import begin
from tuning.ledger.damage import SetAside
from tuning.ledger.records import Death, read_record
from tuning.schema import SCHEMA
from tuning.storage.durable import read_json, write_json
from tuning.trial import Proposal


@pytest.fixture
def notices():
    return []


@pytest.fixture
def files(tmp_path, notices):
    """Two trials; the first attempt at each is dead, of another cause."""
    files = begin(
        tmp_path / "key",
        HEADER,
        fresh=False,
        allow_change=False,
        on_damage=SetAside(notices.append),
    )
    for number, cause in enumerate(("killed", "host_oom")):
        files.write_spec(Proposal(number, {"lr": 0.1 + number, "shape": None}, 3, study="abc-1"))
        files.begin_attempt(number)
        files.write_death(number, 1, Death(cause=cause))
    return files


def death_file(files, number, attempt=1):
    return files.trial_folder(number) / f"attempt-{attempt}" / "died.json"


def test_deaths_are_counted_by_trial_and_by_cause(files):
    assert [files.deaths(0), files.deaths(1)] == [1, 1]
    assert [files.deaths(0, "host_oom"), files.deaths(1, "host_oom")] == [0, 1]


def test_the_death_of_another_trial_counts_for_none_and_is_set_aside(files, notices):
    shutil.copy(death_file(files, 1), death_file(files, 0))
    assert [files.deaths(0), files.deaths(0, "host_oom")] == [0, 0]
    assert death_file(files, 0).with_name("died.json.foreign-1").exists()
    assert "of another attempt, or of other parameters" in notices[0]


def test_a_death_is_not_counted_again_for_another_attempt(files):
    files.begin_attempt(0)
    shutil.copy(death_file(files, 0), death_file(files, 0, attempt=2))
    assert files.deaths(0) == 1


def test_the_death_of_an_ask_that_was_lost_does_not_count_for_the_next(files):
    asked_anew = Proposal(0, {"lr": 0.05, "shape": None}, 3, study="abc-1")
    spec = files.trial_folder(0) / "spec.json"
    write_json(spec, asked_anew.to_json())
    assert files.deaths(0) == 0


def test_a_death_that_cannot_be_read_counts_as_one_of_no_known_cause_and_stays(files):
    path = death_file(files, 1)
    path.write_bytes(path.read_bytes()[:20])
    assert [files.deaths(1), files.deaths(1, "host_oom"), files.deaths(1)] == [1, 0, 1]


def test_a_death_of_an_earlier_version_counts_whose_ever_it_is(files):
    write_json(death_file(files, 0), {"cause": "timeout"})
    assert [files.deaths(0), files.deaths(0, "timeout")] == [1, 1]
    assert read_record(Death, death_file(files, 0)).to_json().keys() == {
        "schema",
        "cause",
        "detail",
        "slot",
    }


def test_a_death_of_a_later_release_is_refused(files):
    path = death_file(files, 0)
    write_json(path, {**read_json(path), "schema": SCHEMA + 1})
    with pytest.raises(NewerFileError, match="written by a newer release"):
        files.deaths(0)
