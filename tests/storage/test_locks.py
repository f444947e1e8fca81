"""Locks: one holder at a time, named to the others, and freed by its death."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuning.errors import BusyError
from tuning.storage.locks import end_stopped_writers, is_search_locked, locked, search_locked
from tuning.storage.processes import WRITER_NAME

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from tuning.errors import BusyError
from tuning.storage.locks import search_locked
try:
    with search_locked(Path(sys.argv[1]), f"driver {sys.argv[2]}"):
        print("holds", flush=True)
        sys.stdin.read()
except BusyError as error:
    print(error, flush=True)
"""


def driver(folder, name):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), name],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def end(process):
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_of_ten_drivers_one_holds_the_search_and_nine_name_it(tmp_path):
    drivers = [driver(tmp_path / "ledger" / "study" / "key", str(i)) for i in range(10)]
    try:
        lines = [process.stdout.readline().strip() for process in drivers]
        holder = lines.index("holds")
        refusals = [line for line in lines if line != "holds"]
        by_name = f"is being run by driver {holder};"
        assert len(refusals) == 9
        assert all(by_name in line or "by another process" in line for line in refusals)
        assert by_name in " ".join(refusals)
    finally:
        for process in drivers:
            end(process)


def test_a_killed_holder_frees_the_search_at_once(tmp_path):
    process = driver(tmp_path / "key", "first")
    assert process.stdout.readline() == "holds\n"
    with pytest.raises(BusyError, match="driver first"), search_locked(tmp_path / "key", "second"):
        pass
    end(process)
    with search_locked(tmp_path / "key", "second"):
        pass


def test_two_threads_of_one_process_do_not_share_the_lock(tmp_path):
    key = tmp_path / "key"
    with (
        search_locked(key, "mine"),
        pytest.raises(BusyError, match="run by mine"),
        search_locked(key, "also mine"),
    ):
        pass


def test_whether_a_search_runs_is_asked_without_a_trace(tmp_path):
    key = tmp_path / "key"
    assert not is_search_locked(key)
    assert list(tmp_path.iterdir()) == []
    with search_locked(key, "mine"):
        assert is_search_locked(key)
    assert not is_search_locked(key)


def test_a_held_lock_is_busy_for_those_who_do_not_wait(tmp_path):
    with (
        locked(tmp_path / "lock"),
        pytest.raises(BusyError, match="another process holds"),
        locked(tmp_path / "lock", wait=False),
    ):
        pass


STOPPED = """
import sys, time
from pathlib import Path
from tuning.executors.supervision.linux import name_process
from tuning.storage.locks import locked
name_process(sys.argv[2])
with locked(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(("name", "is_ended"), [(WRITER_NAME, True), ("tuning-other", False)])
def test_a_stopped_writer_is_ended_by_who_waits_for_its_lock_and_nobody_else_is(
    tmp_path, monkeypatch, name, is_ended
):
    monkeypatch.setattr("tuning.storage.locks.STOPPED_S", 0.2)
    path = tmp_path / ".writer.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(path), name],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    assert end_stopped_writers(path) == []  # it is not stopped yet
    holder.send_signal(signal.SIGSTOP)
    if is_ended:
        with locked(path):
            pass
        assert holder.wait(10) == -signal.SIGKILL
    else:
        time.sleep(0.2)
        assert end_stopped_writers(path) == []
        assert end_stopped_writers(tmp_path / "another.lock") == []
    end(holder)
