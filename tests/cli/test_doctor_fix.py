"""What `tuning doctor` finds wrong with a state folder is mended by --fix, or told how to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import pytest

from tests.tracking.writer import searches
from tuning.cli.state.faults import faults_of
from tuning.cli.state.leases import faults_of_leases
from tuning.executors.devices.leases import Leases
from tuning.ledger.records import SearchStatus
from tuning.schema import SCHEMA
from tuning.storage.durable import read_json, write_json
from tuning.storage.locks import search_locked


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def files(home):
    """A search that has ended, and is in MLflow."""
    files = searches.search(home)
    searches.add_trials(files, range(2))
    searches.end(files)
    write_json(files.folder / "mlflow.json", {})
    return files


@pytest.fixture(scope="module")
def dead():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    return child.pid


def mended(home, sync=lambda: "written"):
    """Mend what is wrong; return what was found, and what was done."""
    found, done = [], []
    for fault in faults_of(home, sync):
        found.append(f"{fault.name}: {fault.found}")
        if fault.mend is not None:
            done.append(fault.mend())
    return found, done


def names(home):
    return [fault.name for fault in faults_of(home, lambda: "")]


def test_of_a_search_that_ended_well_nothing_is_wrong(home, files):
    assert names(home) == []


def test_files_that_others_may_change_are_given_back_to_their_owner(home, files):
    (home / "ledger").chmod(0o777)
    (files.folder / "status.json").chmod(0o666)
    found, _ = mended(home)
    assert found[0].startswith("modes: 2 files or folders can be changed by others")
    assert (home / "ledger").stat().st_mode & 0o777 == 0o700
    assert names(home) == []


def test_what_killed_processes_were_writing_is_deleted(home, files, dead):
    left = files.trial_folder(0) / f".result.json.{dead}.tmp"
    left.write_text("{")
    os.utime(left, (time.time() - 100,) * 2)
    assert mended(home)[0] == ["leftovers: 1 files that killed processes were writing"]
    assert not left.exists()
    assert names(home) == []


@pytest.mark.parametrize("name", ["status.json", "winner.json", "trials/00001/result.json"])
def test_a_damaged_file_is_set_aside(home, files, name):
    (files.folder / name).write_text("[]")
    found, done = mended(home)
    assert "1 damaged files" in found[0]
    assert "set aside as" in done[0]
    path = files.folder / name
    assert path.with_name(f"{path.name}.damaged-1").read_text() == "[]"
    assert names(home) == []


def test_a_damaged_header_says_by_hand_what_to_do_and_hides_no_other_search(home, files):
    other = searches.search(home, "other")
    (files.folder / "search.json").write_text("{")
    other.write_status(SearchStatus(status="running", at=1.0))
    faults = list(faults_of(home, lambda: ""))
    header = next(fault for fault in faults if "search.json" in fault.found)
    assert header.mend is None
    assert "put it back from a copy; or run the study again" in header.advice
    assert len(faults) == 2


def test_a_damaged_ask_with_others_behind_it_says_by_hand_what_to_do(home, files):
    (files.trial_folder(0) / "spec.json").write_text("{")
    (fault,) = faults_of(home, lambda: "")
    assert (fault.mend, "begin anew with --fresh" in fault.advice) == (None, True)


def test_files_of_a_later_release_are_left_as_they_are(home, files):
    path = files.folder / "search.json"
    write_json(path, {**read_json(path), "schema": SCHEMA + 1})
    before = path.read_bytes()
    (fault,) = faults_of(home, lambda: "")
    assert (fault.mend, path.read_bytes()) == (None, before)
    assert "written by a newer release" in fault.found


def test_a_search_whose_process_is_gone_is_marked_as_interrupted(home, files):
    files.write_status(replace(files.status, status="running"))
    assert mended(home)[1] == ["toy/optuna-tpe is marked as interrupted"]
    assert files.status.status == "interrupted"


def test_a_search_that_runs_is_left_alone(home, files):
    files.write_status(replace(files.status, status="running"))
    with search_locked(files.folder, "a test"):
        assert names(home) == []


def test_a_search_that_is_not_in_mlflow_is_written_there(home, files):
    (files.folder / "mlflow.json").unlink()
    synced = []
    found, _ = mended(home, lambda: synced.append(1) or "written")
    assert found == ["projections: 1 searches are not in MLflow: toy/optuna-tpe"]
    assert synced == [1]


def test_a_database_without_its_tables_is_put_aside_and_written_anew(home, files):
    import sqlite3

    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.commit()
    found, done = mended(home)
    assert "it lacks the tables experiments, metrics" in found[0]
    assert done == [f"{home / 'mlflow.db'} was put aside as mlflow.db.corrupt; written"]
    assert (home / "mlflow.db.corrupt").exists()


def test_a_lease_of_a_process_that_is_gone_names_who_holds_it(home, dead):
    leases = Leases()
    lease = leases.try_acquire("cpu:0", "a test")
    path = next(leases.folder.glob("device-*"))
    path.write_text(json.dumps({"pid": dead, "holder": "a test", "device": "cpu:0"}))
    (fault,) = faults_of_leases()
    assert f"is held by {os.getpid()}" in fault.found
    assert fault.advice.endswith(f"kill {os.getpid()}")
    lease.release()
    assert list(faults_of_leases()) == []


def test_places_in_line_of_processes_that_are_gone_are_removed(home):
    leases = Leases()
    (leases.folder / "ticket-000000000007").write_text('["cpu:0"]')
    with leases.queue(["cpu:0"]):
        found, done = mended(home)
        assert found == ["leases: 1 places in the line for devices are of processes that are gone"]
        assert done == ["1 places in the line for devices are removed"]
        assert len(list(leases.folder.glob("ticket-*"))) == 1
