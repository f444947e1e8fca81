"""`tuning new` writes what runs as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tuning.cli.main import main

ROOT = Path(__file__).parents[2]
TASKS = ("regression", "binary", "multiclass")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_tests_written_for_each_task_pass_as_they_are(project):
    for task in TASKS:
        assert main(["new", f"my-{task}", "--task", task]) == 0

    options = ["-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", "."]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout
    assert "15 passed" in done.stdout


def test_what_is_written_passes_make_check(project):
    for task in TASKS:
        main(["new", f"my_{task}", "--task", task])
    for words in (["check"], ["format", "--check"]):
        command = [
            sys.executable,
            "-m",
            "ruff",
            *words,
            "--no-cache",
            "--config",
            str(ROOT / "pyproject.toml"),
            ".",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_new_study_is_listed(project, capsys):
    main(["new", "churn", "--task", "binary"])
    capsys.readouterr()
    assert main(["list", "--json"]) == 0
    assert '"maximize val_accuracy"' in capsys.readouterr().out


@pytest.mark.parametrize("there", ["studies/churn.py", "tests/studies/test_churn.py"])
def test_nothing_is_overwritten_and_nothing_else_written(project, capsys, there):
    path = project / there
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert main(["new", "churn"]) == 2
    assert f"{path} is there already" in capsys.readouterr().err
    assert [p for p in project.rglob("*.py") if p != path] == []
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["../x", "Caps", "-", "a b", "x" * 65, "a.py"])
def test_a_name_that_is_no_study_name_is_refused(project, name):
    assert main(["new", "--", name]) == 2
    assert list(project.iterdir()) == []
