"""The writer process: real children, real databases, real kills."""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import replace

import psutil
import pytest

from tests.patience import SOON_S
from tests.tracking.writer import searches
from tuning.cli import checks
from tuning.ledger.records import SearchStatus
from tuning.tracking.writer import Writer, handle
from tuning.tracking.writer.feed import LedgerView
from tuning.tracking.writer.handle import wait_until_written
from tuning.tracking.writer.note import unwritten, writing
from tuning.tracking.writer.project import Projection


def runs(home, kind="trial"):
    """Return (attempt ids of the runs in MLflow that are not deleted, statuses of the searches)."""
    with closing(sqlite3.connect(home / "mlflow.db", timeout=20)) as db:
        rows = db.execute(
            "SELECT a.value, r.status FROM runs r "
            "JOIN tags a ON a.run_uuid = r.run_uuid AND a.key = 'attempt_id' "
            "JOIN tags k ON k.run_uuid = r.run_uuid AND k.key = 'kind' AND k.value = ? "
            "WHERE r.lifecycle_stage = 'active' ORDER BY a.value",
            (kind,),
        )
        return list(rows)


def stored(home):
    """Return our numbers of the trials in Optuna's storage."""
    with closing(sqlite3.connect(home / "optuna.db", timeout=20)) as db:
        rows = db.execute("SELECT value_json FROM trial_user_attributes WHERE key = 'number'")
        return sorted(int(value) for (value,) in rows)


def wait_for_stored(home, trials):
    end = time.monotonic() + 60
    while len(stored(home)) < trials and time.monotonic() < end:
        time.sleep(0.02)
    assert len(stored(home)) >= trials


def integrity(home):
    answers = []
    for name in ("mlflow.db", "optuna.db"):
        with closing(sqlite3.connect(home / name, timeout=20)) as db:
            answers.append(db.execute("PRAGMA integrity_check").fetchone()[0])
    return answers


def wait_for_end(pid, timeout_s):
    end = time.monotonic() + timeout_s
    while psutil.pid_exists(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not psutil.pid_exists(pid)


def test_trials_reach_both_stores_while_the_search_runs_and_its_end_after(home):
    files = searches.search(home)
    searches.add_trials(files, range(2))
    with Writer.start(home).begin(files.folder) as writer:
        assert wait_until_written(writer, 2, 60)
        searches.add_trials(files, range(2, 6))
        writer.notify()
        assert wait_until_written(writer, 6, 20)
        assert [status for _, status in runs(home, "search")] == ["RUNNING"]
        assert writer.progress().run_id
        searches.end(files)
        assert writer.finish(30) == []
    assert len(runs(home)) == 6
    assert [status for _, status in runs(home, "search")] == ["FINISHED"]
    assert stored(home) == list(range(6))


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 5])
def test_a_writer_killed_at_random_moments_is_caught_up_with_and_nothing_is_doubled(home, kills):
    chance = random.Random(4)
    files = searches.search(home)
    for kill in range(kills):
        # More than a store takes in one transaction.
        searches.add_trials(files, range(300 * kill, 300 * (kill + 1)))
        with Writer.start(home).begin(files.folder) as writer:
            wait_for_stored(home, len(stored(home)) + 1)
            time.sleep(chance.uniform(0.0, 0.2))
            os.kill(writer.pid, signal.SIGKILL)
            writer._child.wait()
        assert integrity(home) == ["ok", "ok"]
    searches.end(files)
    with Writer.start(home).begin(files.folder) as writer:
        assert writer.finish(60) == []
    attempts = [attempt for attempt, _ in runs(home)]
    assert len(attempts) == len(set(attempts)) == 300 * kills
    assert all(status != "RUNNING" for _, status in runs(home))
    assert stored(home) == list(range(300 * kills))


def test_the_writer_ends_by_itself_when_the_driver_dies_and_writes_what_is_on_disk(home):
    files = searches.search(home)
    writer = Writer.start(home).begin(files.folder)
    searches.add_trials(files, range(3))
    pid = writer.pid
    writer.__exit__()  # all that a dead driver's kernel does: close the pipe
    assert wait_for_end(pid, 60)
    assert len(runs(home)) == 3
    assert [status for _, status in runs(home, "search")] == ["KILLED"]


@pytest.mark.slow
def test_a_writer_that_was_stopped_is_replaced_and_everything_is_written(home, monkeypatch):
    monkeypatch.setattr(handle, "STOPPED_S", 0.5)
    files = searches.search(home)
    searches.add_trials(files, range(2))
    with Writer.start(home).begin(files.folder) as writer:
        assert wait_until_written(writer, 2, 60)
        stopped = writer.pid
        os.kill(stopped, signal.SIGSTOP)
        searches.add_trials(files, range(2, 5))
        writer.notify()
        searches.end(files)
        assert writer.finish(30) == []
        assert writer.pid != stopped
    assert not psutil.pid_exists(stopped)
    assert stored(home) == [0, 1, 2, 3, 4]


def test_a_store_that_is_down_is_given_up_in_time_with_words_that_name_sync(home, monkeypatch):
    files = searches.search(home)
    searches.add_trials(files, range(2))
    searches.end(files)
    uri = "http://me:s3cr3t-canary@127.0.0.1:9"
    with Writer.start(home, tracking_uri=uri).begin(files.folder) as writer:
        wait_for_stored(home, 2)
        began = time.monotonic()
        (warning,) = writer.finish(2)
        assert time.monotonic() - began < SOON_S
        os.kill(writer.pid, signal.SIGTERM)
    start = "MLflow: 2 of 2 trials and the end of the search are not written yet ("
    assert warning.startswith(start)
    assert f"a writer goes on in the background (pid {writer.pid})" in warning
    assert stored(home) == [0, 1]  # the other store is not held up
    written = [
        path.read_text(errors="replace")
        for path in files.folder.rglob("*")
        if path.name != "search.json" and path.is_file()
    ]
    assert "canary" not in warning + "".join(written)


@contextmanager
def hanging_server():
    """A port that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"  # the kernel takes them


def test_a_store_that_hangs_keeps_nothing_from_the_other_and_the_writer_goes_on(home, monkeypatch):
    files = searches.search(home)
    searches.add_trials(files, range(3))
    searches.end(files)
    with (
        hanging_server() as url,
        Writer.start(home, tracking_uri=url).begin(files.folder) as writer,
    ):
        wait_for_stored(home, 3)
        began = time.monotonic()
        (warning,) = writer.finish(0.5)
        assert time.monotonic() - began < SOON_S
        assert warning.startswith("MLflow: 3 of 3 trials and the end of the search are not written")
        assert f"a writer goes on in the background (pid {writer.pid})" in warning
        monkeypatch.setenv("TUNING_HOME", str(home))
        (found,) = checks._unwritten(home)
        assert (found.state, str(writer.pid) in found.found) == ("ok", True)

        # The next writer takes its place, though a thread of the first one hangs.
        with writing(files.folder, timeout_s=30):
            assert wait_for_end(writer.pid, SOON_S)
        (left,) = unwritten(home)
        assert (left.search, left.is_written) == ("toy/optuna-tpe", False)
        (found,) = checks._unwritten(home)
        assert (found.state, found.advice[-19:]) == ("warn", "sync toy/optuna-tpe")


def test_notices_never_block_even_when_nobody_reads_them(home):
    files = searches.search(home)
    with Writer.start(home).begin(files.folder) as writer:
        os.kill(writer.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            for _ in range(100_000):
                writer.notify()
            assert time.monotonic() - began < SOON_S
        finally:
            os.kill(writer.pid, signal.SIGKILL)
            writer._child.wait()


def test_a_search_is_projected_in_full_without_a_process(home, uris):
    files = searches.search(home)
    searches.add_trials(files, range(5), folds=2)

    files.write_finalist(searches.outcome())
    files.write_winner(searches.winner())
    (files.folder / "artifacts").mkdir()
    (files.folder / "artifacts" / "cv_results.csv").write_text("a\n")
    searches.end(files, "interrupted")
    projection = Projection(files.folder, home, *uris)
    projection.drain(30)
    assert projection.report(final=True).warnings == ()
    assert len(runs(home, "finalist")) == 1
    assert [status for _, status in runs(home, "search")] == ["KILLED"]
    assert {path.name for path in (home / "artifacts").rglob("*.csv")} == {"cv_results.csv"}


def test_a_killed_search_ends_with_its_last_trial_not_when_it_said_that_it_runs(home, uris):
    files = searches.search(home)
    searches.add_trials(files, range(3))
    files.write_status(SearchStatus(status="running", at=searches.STARTED_AT))
    Projection(files.folder, home, *uris).drain(30)
    last = max(files.result(number).ended_at for number in range(3))
    query = (
        "SELECT end_time FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
        "WHERE t.value = 'search'"
    )
    with closing(sqlite3.connect(home / "mlflow.db", timeout=20)) as db:
        assert db.execute(query).fetchall() == [(int(last * 1000),)]


def test_a_trial_that_was_trained_again_stands_once_in_both_stores(home, uris):
    files = searches.search(home)
    searches.add_trials(files, range(3))
    Projection(files.folder, home, *uris).step()
    path = files.trial_folder(1) / "result.json"
    path.write_text('{"number": 1, "sta')
    files.write_result(replace(searches.trial(1)[1], attempt=2))
    searches.end(files)
    Projection(files.folder, home, *uris).drain(30)
    attempts = [attempt.split("/", 1)[1] for attempt, _ in runs(home)]
    assert attempts == ["trial/0/1", "trial/1/2", "trial/2/1"]
    assert stored(home) == [0, 1, 2]


def test_finalists_of_a_changed_study_are_read_anew(home):
    files = searches.search(home)
    files.write_finalist(searches.outcome(0.5))
    view = LedgerView(files.folder)
    view.poll()
    longer = {**files.header.definition, "epochs": 99}
    files.add_version(replace(files.header, versions=(longer,)))
    files.write_finalist(searches.outcome(0.4))
    view.poll()
    assert (view.version, view.finalists[0, 0].value) == (2, 0.4)


def test_a_writer_whose_folder_has_become_another_searchs_writes_nothing_more(home, uris):
    files = searches.search(home)
    searches.add_trials(files, range(2))
    projection = Projection(files.folder, home, *uris)
    projection.step()
    searches.add_trials(files, range(2, 4))
    files.write_header(replace(files.header, id="small-optuna-another"))
    projection.step()
    assert stored(home) == [0, 1]


def test_an_open_trial_and_a_torn_result_are_left_out(home, uris):
    files = searches.search(home)
    searches.add_trials(files, range(3))
    files.write_spec(searches.trial(3)[0])
    (files.trial_folder(1) / "result.json").write_text('{"number": 1, "sta')
    projection = Projection(files.folder, home, *uris)
    projection.step()
    assert stored(home) == [0, 2]
    assert projection.report().written == 2


def test_a_damaged_mlflow_database_is_kept_and_written_anew(home, uris):
    files = searches.search(home)
    searches.add_trials(files, range(2))
    (home / "mlflow.db").write_bytes(b"no database at all" * 1000)
    projection = Projection(files.folder, home, *uris)
    projection.drain(60)
    assert (home / "mlflow.db.corrupt").exists()
    assert len(runs(home)) == 2
    assert "`tuning sync`" in projection.report(final=True).warnings[0]


@pytest.mark.parametrize("left", [b"", b"half"])
def test_what_a_killed_creation_left_behind_does_no_harm(home, left):
    from tuning.tracking.mlflow_store import ensure_database

    (home / ".mlflow.db.new").write_bytes(left)
    (home / ".mlflow.db.new-journal").write_bytes(left)
    (home / "mlflow.db").unlink()
    ensure_database(f"sqlite:///{home / 'mlflow.db'}")
    assert integrity(home) == ["ok", "ok"]
    assert oct((home / "mlflow.db").stat().st_mode)[-3:] == "600"
