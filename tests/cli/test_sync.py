"""`tuning sync`: both stores come back from the ledger alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from tests.tracking.writer import searches
from tuning.cli.sync import sync
from tuning.errors import StorageError, StudyError
from tuning.schema import SCHEMA
from tuning.storage.durable import read_json, write_json
from tuning.storage.locks import search_locked
from tuning.tracking.mlflow_store import QUIET


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)  # `sync` sets them too; here they are taken back
    return tmp_path / "home"


def names(home):
    with closing(sqlite3.connect(home / "mlflow.db")) as db:
        return sorted(
            name for (name,) in db.execute("SELECT name FROM runs WHERE name LIKE 'trial %'")
        )


def test_deleted_databases_are_made_anew_and_a_running_search_is_left_alone(home):
    for study, engine in (
        ("toy", "optuna:tpe"),
        ("toy", "gridsearchcv"),
        ("other", "optuna:random"),
    ):
        files = searches.search(home, study, engine)
        searches.add_trials(files, range(2))
        searches.end(files)
    with search_locked(home / "ledger" / "other" / "optuna-random", "this test"):
        result = CliRunner().invoke(sync, ["--home", str(home)], catch_exceptions=False)
    assert "other/optuna-random: running, its own writer does it" in result.output
    assert names(home) == ["trial 0", "trial 0", "trial 1", "trial 1"]
    CliRunner().invoke(sync, ["--home", str(home), "other"], catch_exceptions=False)
    CliRunner().invoke(sync, ["--home", str(home)], catch_exceptions=False)
    assert len(names(home)) == 6


def test_without_a_ledger_it_says_so(home):
    result = CliRunner().invoke(sync, ["--home", str(home), "toy"], catch_exceptions=False)
    assert result.output.startswith("No searches in ")


def test_one_search_is_named_as_elsewhere_and_a_wrong_name_is_told(home):
    files = searches.search(home, "toy", "optuna:tpe")
    searches.add_trials(files, range(1))
    searches.end(files)
    for name in ("toy/optuna-tpe", files.header.id, str(files.folder)):
        result = CliRunner().invoke(sync, ["--home", str(home), name], catch_exceptions=False)
        assert result.output.splitlines()[-1] == "toy/optuna-tpe: 1 trials"
    with pytest.raises(StudyError, match=r"no search 'toi'\. Did you mean 'toy'"):
        CliRunner().invoke(sync, ["--home", str(home), "toi"], catch_exceptions=False)


def test_a_search_of_a_later_release_keeps_no_other_from_being_written(home):
    newer, ours = searches.search(home, "newer"), searches.search(home, "ours")
    for files in (newer, ours):
        searches.add_trials(files, range(1))
        searches.end(files)
    path = newer.folder / "search.json"
    write_json(path, {**read_json(path), "schema": SCHEMA + 1})
    with pytest.raises(StorageError, match="written by a newer release"):
        CliRunner().invoke(sync, ["--home", str(home)], catch_exceptions=False)
    assert names(home) == ["trial 0"]


@pytest.mark.parametrize("name", ["search.json", "trials/00000/spec.json"])
def test_a_damaged_search_keeps_no_other_from_being_written(home, name):
    damaged, sound = searches.search(home, "damaged"), searches.search(home, "sound")
    for files in (damaged, sound):
        searches.add_trials(files, range(1))
        searches.end(files)
    write_json(damaged.folder / name, {"id": "damaged-optuna-tpe-00000000"})
    with pytest.raises(StorageError, match=rf"{name} is damaged"):
        CliRunner().invoke(sync, ["--home", str(home)], catch_exceptions=False)
    assert names(home) == ["trial 0"]
