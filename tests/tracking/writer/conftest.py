"""One MLflow database and one Optuna storage a session; each test gets a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tuning.tracking.mlflow_store import QUIET, ensure_database, tracking_uri
from tuning.tracking.optuna_storage import ensure_storage, storage_url


@pytest.fixture(scope="session")
def blank_home(tmp_path_factory):
    """A state folder with both databases and nothing in them."""
    home = tmp_path_factory.mktemp("blank")
    ensure_database(f"sqlite:///{home / 'mlflow.db'}")
    ensure_storage(f"sqlite:///{home / 'optuna.db'}")
    return home


@pytest.fixture
def home(blank_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of one's own."""
    for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("mlflow.db", "optuna.db"):
        shutil.copyfile(blank_home / name, folder / name)
    return folder


@pytest.fixture
def uris(home: Path) -> tuple[str, str]:
    """MLflow's tracking URI and Optuna's storage URL of `home`."""
    return tracking_uri(home), storage_url(home)
