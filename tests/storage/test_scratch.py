"""Temporary folders of the dead are removed, those of the living are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from tuning.storage.scratch import scratch_folder

HOLDS = """
import sys, time
from tuning.storage.scratch import scratch_folder
folder = scratch_folder("tuning-test-")
print(folder.name, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def aged(path):
    """Make a folder look as if it had been made two minutes ago."""
    then = time.time() - 120
    os.utime(path, (then, then))


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        left = tmp_path / os.path.basename(process.stdout.readline().strip())
        aged(left)
        scratch_folder("tuning-test-").cleanup()
        assert left.is_dir()  # its process lives
        process.send_signal(signal.SIGKILL)
        process.wait()
        scratch_folder("tuning-test-").cleanup()
        assert not left.exists()


def test_folders_just_made_and_those_of_others_are_left_alone(tmp_path):
    new = tmp_path / "tuning-test-new"
    new.mkdir()
    other = tmp_path / "mine"
    other.mkdir()
    aged(other)
    linked = tmp_path / "tuning-test-link"
    linked.symlink_to(other)
    scratch_folder("tuning-test-").cleanup()
    assert new.is_dir()
    assert other.is_dir()
    assert linked.is_symlink()
