"""Databases are whole or absent: races, kills, damage."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tuning.storage import sqlite_file

CREATE = """
import sqlite3, sys, time
from pathlib import Path
from tuning.storage import sqlite_file

def create(path):
    with open(sys.argv[2], "a") as log:
        log.write("created\\n")
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE a (x)")
    db.commit()
    time.sleep(float(sys.argv[3]))
    db.execute("CREATE TABLE b (x)")
    db.commit()
    db.close()

sqlite_file.ensure(Path(sys.argv[1]), create)
"""


def creator(path, log, seconds):
    return subprocess.Popen([sys.executable, "-c", CREATE, str(path), str(log), str(seconds)])


def make(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE a (x)")
        db.executemany("INSERT INTO a VALUES (?)", [("x" * 500,) for _ in range(100)])
        db.commit()


def tables(path):
    with closing(sqlite3.connect(path)) as db:
        return [name for (name,) in db.execute("SELECT name FROM sqlite_master ORDER BY name")]


def test_five_processes_at_once_create_one_database_once(tmp_path):
    path, log = tmp_path / "new.db", tmp_path / "log"
    processes = [creator(path, log, 0.3) for _ in range(5)]
    assert [process.wait(30) for process in processes] == [0] * 5
    assert log.read_text() == "created\n"
    assert tables(path) == ["a", "b"]


def test_two_threads_make_their_tables_one_after_the_other(tmp_path):
    making = []

    def create(path):
        making.append(path)
        assert making == [path]
        time.sleep(0.05)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE made (at REAL)")
        making.clear()

    paths = [tmp_path / "mlflow.db", tmp_path / "optuna.db"]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: sqlite_file.ensure(path, create), paths))
    assert [sqlite_file.damage(path) for path in paths] == ["", ""]


def test_a_kill_during_creation_leaves_nothing_and_the_next_start_works(tmp_path):
    path, log = tmp_path / "new.db", tmp_path / "log"
    killed = creator(path, log, 30)
    end = time.monotonic() + 20
    while not log.exists() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.1)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not path.exists()
    assert creator(path, log, 0).wait(30) == 0
    assert tables(path) == ["a", "b"]


@pytest.mark.parametrize("spoil", [b"", b"not a database" * 100, bytes(8192)])
def test_a_damaged_file_is_kept_and_made_anew(tmp_path, spoil):
    path = tmp_path / "a.db"
    path.write_bytes(spoil)
    assert sqlite_file.ensure(path, make) == tmp_path / "a.db.corrupt"
    assert (tmp_path / "a.db.corrupt").read_bytes() == spoil
    assert tables(path) == ["a"]


def test_one_page_zeroed_in_the_middle_is_damage(tmp_path):
    path = tmp_path / "a.db"
    sqlite_file.ensure(path, make)
    data = path.read_bytes()
    path.write_bytes(data[:8192] + bytes(4096) + data[12288:])
    assert sqlite_file.damage(path)


def test_a_sound_file_is_left_as_it_is_and_private(tmp_path):
    path = tmp_path / "state" / "a.db"
    sqlite_file.ensure(path, make)
    before = path.read_bytes()
    assert sqlite_file.ensure(path, make) is None
    assert path.read_bytes() == before
    assert [oct(p.stat().st_mode)[-3:] for p in (path, path.parent)] == ["600", "700"]


def test_a_second_damaged_file_does_not_replace_the_first(tmp_path):
    for _ in range(2):
        (tmp_path / "a.db").write_bytes(b"rubbish" * 100)
        sqlite_file.ensure(tmp_path / "a.db", make)
    assert len(list(tmp_path.glob("a.db.corrupt*"))) == 2
