"""What killed processes leave of files they were writing."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tuning.storage.durable import write_json
from tuning.storage.leftovers import WRITING_S, leftovers, sweep


@pytest.fixture(scope="module")
def dead():
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    return child.pid


def leave(folder, pid, age_s=WRITING_S + 1):
    path = folder / f".result.json.{pid}.tmp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"numb')
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_what_the_dead_were_writing_is_deleted_wherever_it_lies(tmp_path, dead):
    leave(tmp_path, dead)
    leave(tmp_path / "trials" / "00007" / "attempt-1", dead)
    write_json(tmp_path / "trials" / "00007" / "result.json", {"number": 7})
    assert sweep(tmp_path) == 2
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["result.json"]


def test_what_the_living_are_writing_and_what_is_young_is_left_alone(tmp_path, dead):
    leave(tmp_path, os.getpid())
    leave(tmp_path / "young", dead, age_s=1)
    assert list(leftovers(tmp_path)) == []


@pytest.mark.parametrize("name", [".lock", "result.tmp", ".result.json.x.tmp", ".7.tmp.json"])
def test_other_files_are_no_leftovers(tmp_path, dead, name):
    (tmp_path / name).write_text("")
    os.utime(tmp_path / name, (0, 0))
    assert sweep(tmp_path) == 0
