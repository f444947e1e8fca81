"""`written.json`: a search is wholly in both stores, as far as counting can say."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace

import pytest

from tests.tracking.writer import searches
from tuning.errors import NewerFileError
from tuning.schema import SCHEMA
from tuning.storage.durable import read_json, write_json
from tuning.tracking.writer import written
from tuning.tracking.writer.written import is_written, leave_mark, place_of, stamp_of


@pytest.fixture
def stores(tmp_path, monkeypatch):
    """How many runs and trials two SQLite files say that they have, by search."""
    counts = {"runs": 4, "trials": 3}
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("TUNING_STORAGE", raising=False)
    for name, module, function in (
        ("runs", written.mlflow_sql_internals, "ended_runs"),
        ("trials", written.optuna_internals, "ended_trials"),
    ):
        monkeypatch.setattr(module, function, lambda path, search, name=name: counts[name])
    return counts


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def files(home, stores):
    """A search that was wholly written."""
    files = searches.search(home)
    searches.add_trials(files, range(3))
    searches.end(files)
    leave_mark(files.folder, home, stamp_of(files.folder, home))
    return files


def test_a_search_that_was_written_need_not_be_looked_at(home, files):
    assert is_written(files.folder, home)


@pytest.mark.parametrize("name", ["runs", "trials"])
def test_a_store_that_has_lost_some_is_looked_at(home, files, stores, name):
    stores[name] -= 1
    assert not is_written(files.folder, home)


@pytest.mark.parametrize(
    "change",
    [
        lambda files: searches.add_trials(files, range(3, 4)),
        lambda files: searches.end(files, "interrupted"),
        lambda files: files.write_winner(searches.winner()),
        lambda files: files.write_finalist(searches.outcome()),
        lambda files: (files.trial_folder(1) / "result.json").unlink(),
        lambda files: files.write_header(replace(files.header, trials=99)),
    ],
)
def test_a_file_that_has_changed_since_has_to_be_written(home, files, change):
    change(files)
    assert not is_written(files.folder, home)


def test_other_stores_than_those_it_is_in_are_looked_at(home, files, monkeypatch):
    monkeypatch.setenv("TUNING_STORAGE", f"sqlite:///{home / 'another.db'}")
    assert not is_written(files.folder, home)


def test_of_a_store_that_is_no_file_nothing_is_said(home, files, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert not is_written(files.folder, home)
    (files.folder / "written.json").unlink()
    leave_mark(files.folder, home, stamp_of(files.folder, home))
    assert not (files.folder / "written.json").exists()


def test_a_store_that_cannot_be_read_is_looked_at(home, files, monkeypatch):
    def locked(path, search):
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(written.mlflow_sql_internals, "ended_runs", locked)
    assert not is_written(files.folder, home)


def test_the_mark_of_another_search_is_not_taken(home, files):
    other = searches.search(home, "other")
    searches.add_trials(other, range(3))
    searches.end(other)
    shutil.copy(files.folder / "written.json", other.folder / "written.json")
    assert not is_written(other.folder, home)


@pytest.mark.parametrize("content", ["", "[]", '{"files": 3}', '{"files": "a", "runs": "many"}'])
def test_a_mark_that_is_damaged_says_nothing(home, files, content):
    (files.folder / "written.json").write_text(content)
    assert not is_written(files.folder, home)


def test_a_mark_of_a_later_release_is_refused_and_left_alone(home, files):
    path = files.folder / "written.json"
    write_json(path, {**read_json(path), "schema": SCHEMA + 1})
    before = path.read_bytes()
    with pytest.raises(NewerFileError, match="written by a newer release"):
        is_written(files.folder, home)
    assert path.read_bytes() == before


def test_without_a_mark_or_a_header_nothing_is_written(home, files):
    (files.folder / "written.json").unlink()
    assert not is_written(files.folder, home)
    leave_mark(files.folder, home, stamp_of(files.folder, home))
    assert is_written(files.folder, home)
    (files.folder / "search.json").unlink()
    assert not is_written(files.folder, home)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run_id": 3}', '{"other": "key"}'])
def test_a_place_that_is_damaged_is_none(tmp_path, content):
    (tmp_path / "mlflow.json").write_text(content)
    assert place_of(tmp_path) is None
