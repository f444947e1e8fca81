"""A project of one small study, for verbs that train."""

from __future__ import annotations

import pytest

FILE = '''"""A small study."""
import numpy as np
from tuning import Dataset, Int, Float, Minimize, Study
from tuning.builders.mlp import build_model

def data():
    X = np.random.default_rng(0).normal(size=(200, 3))
    return Dataset(name="plane", X=X, y=X.sum(axis=1), task="regression")

STUDY = Study(name="plane", builder=build_model, data=data, objective=Minimize("val_rmse"),
    space={"n_hidden": Int(0, 2), "lr": Float(1e-4, 1e-1, log=True)}, epochs=3, trials=2)
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "plane.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(
        "TUNING_LEASES", str(tmp_path / "leases")
    )  # nobody else's search is waited for
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path
