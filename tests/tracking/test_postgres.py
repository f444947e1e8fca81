"""Both stores in PostgreSQL: a server of the test's own, where PostgreSQL and psycopg are there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.tracking.writer import searches
from tuning.tracking.mlflow_store import QUIET, tracking_uri
from tuning.tracking.optuna_storage import storage_url
from tuning.tracking.writer.project import Projection

pytestmark = pytest.mark.slow


@pytest.fixture
def server():
    """The URL of a server's databases, without their names."""
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        pytest.skip("PostgreSQL's programs are not there")
    pytest.importorskip("psycopg")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]

    # Not in pytest's folders, which are closed for others: as root another user runs it.
    with TemporaryDirectory(prefix="tuning-test-") as name:
        folder = Path(name)
        user = {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            user = {"user": "nobody", "extra_groups": []}
            shutil.chown(folder, "nobody")
        data = folder / "data"
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        start = ["pg_ctl", "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start"]
        subprocess.run(["initdb", "-D", str(data), "-U", "me", "-A", "trust"], check=True, **user)
        subprocess.run(start, check=True, **user)
        try:
            yield f"postgresql://me@127.0.0.1:{port}"
        finally:
            stop = ["pg_ctl", "-D", str(data), "-m", "immediate", "stop"]
            subprocess.run(stop, check=True, **user)


def test_a_search_is_written_to_postgresql_by_the_plain_url(server, tmp_path, monkeypatch):
    import psycopg

    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        for name in ("runs", "trials"):
            connection.execute(f"CREATE DATABASE {name}")
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{server}/runs")
    monkeypatch.setenv("TUNING_STORAGE", f"{server}/trials")

    home = tmp_path / "home"
    files = searches.search(home)
    searches.add_trials(files, range(20))
    searches.end(files)
    for _ in range(2):
        projection = Projection(files.folder, home, tracking_uri(home), storage_url(home))
        projection.drain(120)
        assert projection.report(final=True).warnings == ()

    with psycopg.connect(f"{server}/runs") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (21,)
    with psycopg.connect(f"{server}/trials") as connection:
        numbers = connection.execute("SELECT number FROM trials ORDER BY number").fetchall()
    assert [number for (number,) in numbers] == list(range(20))
