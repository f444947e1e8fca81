"""Servers of the tests' own: PostgreSQL from Debian's packages, MLflow's on it."""

from __future__ import annotations

import pytest

from tests.tracking.servers.postgres import MISSING, Postgres, programs
from tuning.tracking.mlflow_store import QUIET


@pytest.fixture(scope="session")
def cluster():
    """A server that runs; tests that kill it begin it again. Each takes databases of its own."""
    if programs() is None:
        pytest.skip(MISSING)
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A state folder of one's own, in a process that is set up as a writer is."""
    for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder
