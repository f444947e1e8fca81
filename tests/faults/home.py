"""A state folder, leases and devices of a test's own, for the processes that it starts too."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def own_home(folder: Path, monkeypatch: pytest.MonkeyPatch, *, devices: str) -> Path:
    """Set the variables; return the state folder, which is not made yet."""
    for name, value in {
        "TUNING_HOME": str(folder / "home"),
        "TUNING_LEASES": str(folder / "leases"),
        "TUNING_DEVICES": devices,
        "PYTHONPATH": str(ROOT),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE", "CUDA_VISIBLE_DEVICES", "TRACES"):
        monkeypatch.delenv(name, raising=False)
    return folder / "home"
