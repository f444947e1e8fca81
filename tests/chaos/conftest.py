"""A whole search of files, with both stores written; each test gets a copy and spoils it."""

from __future__ import annotations

import shutil

import pytest

from tests.tracking.writer import searches
from tests.tracking.writer.conftest import blank_home  # noqa: F401 - a fixture
from tuning.tracking.mlflow_store import QUIET, tracking_uri
from tuning.tracking.optuna_storage import storage_url
from tuning.tracking.writer.project import Projection


@pytest.fixture(scope="module")
def written(tmp_path_factory, blank_home):  # noqa: F811
    """Four trials, a winner, MLflow and Optuna's storage."""
    folder = tmp_path_factory.mktemp("written") / "home"
    shutil.copytree(blank_home, folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE"):
            patch.delenv(name, raising=False)
        for name, value in QUIET.items():
            patch.setenv(name, value)
        files = searches.search(folder)
        searches.add_trials(files, range(4))
        files.write_finalist(searches.outcome())
        files.write_winner(searches.winner())
        searches.end(files)
        Projection(files.folder, folder, tracking_uri(folder), storage_url(folder)).drain(30)
    return folder


@pytest.fixture
def home(written, tmp_path):
    """A copy of one's own."""
    return shutil.copytree(written, tmp_path / "home")
