"""Where machine code is kept, and what becomes of a search where that goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tuning.trainer.native import compile as machine_code

FOLDER = Path(machine_code.__file__).parent
LOAD = """
import numpy as np
from tuning.trainer.native import compile as machine_code
from tuning.trainer.native import epoch as native
{before}
native.load()
table = np.array([[2, 0, 0, 2, 0], [1, 0, 0, -1, 2]])
out = np.empty((1, 1), "f")
native.forward(np.ones((1, 2), "f"), table, np.array([1, 2, 0.5], "f"), out)
print(out[0, 0], machine_code._folder())
"""


def loaded(before="", **environment):
    code = [sys.executable, "-c", LOAD.format(before=before)]
    done = subprocess.run(
        code,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        cwd=FOLDER.parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    value, folder = done.stdout.split()
    assert float(value) == 3.5
    return Path(folder)


def test_all_that_is_compiled_lies_in_the_folder_whose_files_name_what_is_kept():
    package = FOLDER.parents[1]
    users = {
        file.parent for file in package.rglob("*.py") if "@in_machine_code" in file.read_text()
    }
    assert users == {FOLDER}


@pytest.mark.slow
def test_what_is_kept_is_read_made_anew_where_it_is_damaged_and_not_missed_on_a_full_disk(tmp_path):
    folder = loaded(NUMBA_CACHE_DIR=str(tmp_path))
    written_at = {file: file.stat().st_mtime_ns for file in folder.glob("*/*.nb?")}
    assert folder.parent == tmp_path
    assert len(written_at) == 4
    loaded(NUMBA_CACHE_DIR=str(tmp_path))
    assert {file: file.stat().st_mtime_ns for file in folder.glob("*/*.nb?")} == written_at

    for file in folder.glob("*/*.nbc"):
        os.truncate(file, 0)
    loaded(NUMBA_CACHE_DIR=str(tmp_path))
    assert all(file.stat().st_size for file in folder.glob("*/*.nbc"))

    full = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
"""
    loaded(full, NUMBA_CACHE_DIR=str(tmp_path / "other"))


def test_a_folder_that_cannot_be_used_is_not_replaced_by_one_that_knows_less_of_the_sources(
    tmp_path, monkeypatch
):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setattr(machine_code.config, "CACHE_DIR", str(blocked))
    monkeypatch.setenv("HOME", str(tmp_path))
    find = machine_code._folder.__wrapped__
    assert find().parent == tmp_path / ".cache" / "tuning"
    monkeypatch.setenv("HOME", str(blocked))
    assert find() is None
    monkeypatch.setattr(machine_code, "_folder", find)
    assert machine_code.kept_in_machine_code(abs_of)(-2) == 2


def abs_of(number):
    return abs(number)


def test_processors_do_not_share_machine_code(monkeypatch):
    find = machine_code._folder.__wrapped__
    here = find()
    monkeypatch.setattr(machine_code.config, "CPU_NAME", "haswell")
    assert find() != here
    find().rmdir()


def plant(folder, monkeypatch):
    monkeypatch.setattr(machine_code.config, "CACHE_DIR", str(folder))
    monkeypatch.setenv("HOME", str(folder.parent / "home"))
    return machine_code._folder.__wrapped__


def test_machine_code_is_kept_where_nobody_else_may_look(tmp_path, monkeypatch):
    folder = plant(tmp_path / "cache", monkeypatch)()
    assert folder.parent == tmp_path / "cache"
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("planted", ["a group's folder", "another user's file", "a link"])
def test_what_others_could_have_planted_is_not_read(tmp_path, monkeypatch, planted):
    find = plant(tmp_path / "cache", monkeypatch)
    folder = find()
    within = folder / "native_1" / "epoch.forward.nbi"
    within.parent.mkdir()
    if planted == "a group's folder":
        folder.chmod(0o770)
    elif planted == "a link":
        within.symlink_to(tmp_path / "evil")
    else:
        within.touch()
        if os.getuid():
            pytest.skip("a file of another user can be made by root alone")
        os.chown(within, 12345, 12345)
    assert find().parent == tmp_path / "home" / ".cache" / "tuning"
