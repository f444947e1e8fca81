"""The state folder of a test."""

import pytest


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path))
    return tmp_path
