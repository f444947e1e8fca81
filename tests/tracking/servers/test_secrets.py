"""Passwords of both stores: in no file, log, report or database, whatever fails (C11)."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.tracking.servers.mlflow_server import MLflowServer
from tests.tracking.servers.postgres import MISSING, Postgres, programs
from tests.tracking.servers.proxy import proxy
from tests.tracking.writer import searches
from tuning.tracking.writer import Writer
from tuning.tracking.writer.handle import wait_until_written
from tuning.tracking.writer.note import unwritten

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CANARY = "canary-0b7"


@pytest.fixture
def guarded():
    """A server that asks for the password."""
    if programs() is None:
        pytest.skip(MISSING)
    server = Postgres(password=CANARY)
    try:
        server.start()
        yield server
    finally:
        server.close()


def leaks(folder: Path, *texts: str) -> list[str]:
    """Return where the password stands."""
    found = [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and CANARY.encode() in path.read_bytes()
    ]
    return [*found, *(text for text in texts if CANARY in text)]


def contents(server: Postgres, database: str) -> str:
    """Return all that a database holds."""
    command = [str(programs() / "pg_dump"), "--data-only", f"{server.url}/{database}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_password_of_a_database_is_nowhere_though_it_fails(guarded, home):
    places = [guarded.database("runs"), guarded.database("trials")]
    files = searches.search(home)
    with Writer.start(home, *places).begin(files.folder) as writer:
        searches.add_trials(files, range(3), folds=2)
        assert wait_until_written(writer, 3, 60)
        guarded.kill()
        searches.add_trials(files, range(3, 6))
        searches.end(files)
        warnings = writer.finish(2.0)
        guarded.start()
    until = time.monotonic() + 60
    while unwritten(home) and time.monotonic() < until:
        time.sleep(0.1)
    assert unwritten(home) == []
    assert len(warnings) == 2
    log = (files.folder / "writer.log").read_text()
    assert "OperationalError" in log
    databases = [contents(guarded, name) for name in ("runs", "trials")]
    assert "val_rmse" in databases[0]
    assert leaks(home, *warnings, *databases) == []


def test_a_wrong_password_is_told_without_it(guarded, home):
    places = [url.replace(CANARY, f"{CANARY}-wrong") for url in (guarded.database("runs"),) * 2]
    files = searches.search(home)
    searches.add_trials(files, range(1))
    searches.end(files)
    with Writer.start(home, *places).begin(files.folder) as writer:
        warnings = writer.finish(3.0)
    assert "password authentication failed" in warnings[0]
    assert leaks(home, *warnings) == []


def test_the_password_in_a_servers_url_opens_it_for_runs_and_artifacts_and_is_nowhere(home):
    store = f"sqlite:///{home.parent / 'server.db'}"
    server = MLflowServer(store, home.parent / "server")
    files = searches.search(home)
    searches.add_trials(files, range(3), folds=2, fault_every=0)
    searches.end(files)
    server.start()
    try:
        with proxy(server.url, lambda method, path: None, login=f"me:{CANARY}") as url:
            secret = url.replace("//", f"//me:{CANARY}@")
            with Writer.start(home, tracking_uri=secret).begin(files.folder) as writer:
                assert writer.finish(60) == []
    finally:
        server.close()
    assert len(list(server.artifacts.rglob("folds.json"))) == 3
    assert leaks(home.parent) == []
