"""Tables in an empty database: made once, whoever comes at the same time or is stopped in it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from tests.tracking.servers.postgres import Postgres
from tuning.tracking.servers import tables
from tuning.tracking.servers.tables import open_in_turn
from tuning.tracking.store_drivers import with_driver

FIRST_START = Path(__file__).parent / "first_start.py"
N_PROCESSES = 10


@pytest.mark.slow
def test_of_ten_that_start_at_once_on_empty_databases_all_find_their_tables(cluster, home):
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "MLFLOW_TRACKING_URI": cluster.database("first_runs"),
        "TUNING_STORAGE": cluster.database("first_trials"),
    }
    command = [sys.executable, str(FIRST_START), str(N_PROCESSES)]
    subprocess.run(command, check=True, cwd=home, env=environment, timeout=110)

    opened = [(home / f"opened-{i}").read_text() for i in range(N_PROCESSES)]
    assert opened == ["ok\nok\n"] * N_PROCESSES
    for name in ("first_runs", "first_trials"):
        assert len(cluster.execute(name, "SELECT * FROM alembic_version")) == 1
    assert cluster.execute("first_runs", "SELECT name FROM experiments") == [("Default",)]


@pytest.fixture
def held(cluster: Postgres):
    """The URL of an empty database whose turn another process has, and the end of that turn."""
    import psycopg

    name = f"turns_{secrets.token_hex(4)}"
    url = cluster.database(name)
    with psycopg.connect(url) as other:
        other.execute(f"SELECT pg_advisory_xact_lock({tables._TURN})")
        yield with_driver(url), other


def test_who_finds_no_tables_waits_for_whoever_makes_them(held):
    url, other = held
    opened = threading.Event()
    thread = threading.Thread(target=open_in_turn, args=(url, "made", opened.set))
    thread.start()
    assert not opened.wait(0.2)
    other.commit()
    assert opened.wait(10)
    thread.join(10)


def test_where_the_tables_are_nobody_waits(held):
    url, other = held
    other.execute("CREATE TABLE made AS SELECT 1 AS n")
    other.commit()
    other.execute(f"SELECT pg_advisory_xact_lock({tables._TURN})")
    assert open_in_turn(url, "made", lambda: "opened") == "opened"


def test_a_turn_that_does_not_end_is_told_and_not_waited_for_for_ever(held, monkeypatch):
    monkeypatch.setattr(tables, "_LONGEST_TURN", "50ms")
    with pytest.raises(OperationalError, match="lock timeout"):
        open_in_turn(held[0], "made", lambda: None)


@pytest.mark.parametrize("url", ["sqlite:////nowhere/a.db", "http://127.0.0.1:1"])
def test_other_stores_are_opened_at_once(url):
    assert open_in_turn(url, "made", lambda: "opened") == "opened"
