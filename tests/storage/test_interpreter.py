"""Files of the current folder run in no interpreter of ours in place of a library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tuning.executors.forkserver import ForkServer
from tuning.storage.interpreter import PYTHON, import_path, module_command

PLANTED = "open('pwned', 'a').write(__name__)\nraise SystemExit(9)\n"
NAMES = ("yaml", "runpy", "random", "sqlalchemy", "click", "psutil", "ctypes", "numpy", "json")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(PLANTED)
    (tmp_path / "helper.py").write_text("VALUE = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path


@pytest.mark.parametrize("entry", ["", ".", "{here}", "{here}/../{name}"])
def test_the_current_folder_goes_last(tmp_path, monkeypatch, entry):
    monkeypatch.chdir(tmp_path)
    entry = entry.format(here=tmp_path, name=tmp_path.name)
    assert import_path([entry, "/lib/a", "/lib/b"]) == ["/lib/a", "/lib/b", str(tmp_path)]
    assert import_path(["/lib/a", "/lib/b"]) == ["/lib/a", "/lib/b"]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_module_of_ours_finds_its_libraries_and_not_the_folder(folder, monkeypatch):
    monkeypatch.syspath_prepend("")
    (folder / "probe.py").write_text("import yaml, helper, sys; print(helper.VALUE, sys.argv[1:])")
    done = run(*module_command("probe", "7"))
    assert (done.stdout, done.stderr) == ("3 ['7']\n", "")
    assert not (folder / "pwned").exists()


def test_the_command_line_finds_its_libraries_and_then_the_folder(folder):
    done = run(sys.executable, "-m", "tuning", "--version")
    assert (done.returncode, (folder / "pwned").exists()) == (0, False), done.stderr
    done = run(*PYTHON, "-c", "import json, random; print(json.dumps(1))")
    assert (done.stdout, (folder / "pwned").exists()) == ("1\n", False)


def test_the_forkserver_and_its_children_find_libraries_first(folder, monkeypatch):
    monkeypatch.syspath_prepend("")
    with ForkServer(preload=("yaml", "random", "json", "helper")) as server:
        assert server.wait_ready() > 0
        child = server.spawn("builtins:exec", ())
        child.join(20)
        child.close()
    assert not (folder / "pwned").exists()


def test_every_interpreter_that_is_started_is_told_to_leave_the_folder_out():
    package = Path(__file__).parents[2] / "tuning"
    for path in package.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if "subprocess" in source and path.name != "systemd_units.py":
            assert "[sys.executable" not in source, path
    assert os.path.basename(PYTHON[0]).startswith("python")
