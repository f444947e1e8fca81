"""What the tests of study files and of fingerprints share."""

import sys

import pytest


@pytest.fixture(autouse=True)
def path_as_before(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def write(tmp_path):
    """Each text gets a folder of its own: Python's cache of sources goes by path."""

    def write(text, name="small.py"):
        folder = tmp_path / f"f{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
