"""Where whole searches of a test run: state, leases and devices of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import tuning.search.run
from tests.search.run_parts import NoWriter

ROOT = Path(__file__).parents[2]


@pytest.fixture
def traces(tmp_path, monkeypatch, request):
    """Return where the builder leaves its traces; the state folder lies beside it.

    A module's `DEVICES` are the devices there are, "a,b" where it names none.
    """
    folder = tmp_path / "traces"
    folder.mkdir()
    for name, value in {
        "TUNING_HOME": str(tmp_path / "home"),
        "TUNING_LEASES": str(tmp_path / "leases"),
        "TUNING_DEVICES": getattr(request.module, "DEVICES", "a,b"),
        "TRACES": str(folder),
        "PYTHONPATH": str(ROOT),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def alone(monkeypatch):
    """No writer process: MLflow costs seconds and is tested elsewhere."""
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
