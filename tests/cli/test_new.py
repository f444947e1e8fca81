"""`tuning new` writes what runs as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tuning.search.run
from tests.search.run_parts import NoWriter
from tuning.cli.main import main
from tuning.cli.new_study.catalog import KINDS
from tuning.search.options import RunOptions
from tuning.search.run import run_study

ROOT = Path(__file__).parents[2]
EACH = [(kind, task) for kind, words in KINDS.items() for task in words.tasks]


def write_each() -> None:
    """Write a study of each kind for each of its tasks."""
    for kind, task in EACH:
        assert main(["new", f"my-{kind}-{task}", "--kind", kind, "--task", task]) == 0


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_to_type_next_works_where_there_is_no_makefile(project, capsys):
    assert main(["new", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "search it: python -m tuning run mine\n" in shown
    assert "test it: python -m pytest tests/studies/test_mine.py\n" in shown
    (project / "Makefile").write_text("tune:\n\tpython -m tuning run $(STUDY)\n")
    assert main(["new", "yours"]) == 0
    assert "search it: make tune STUDY=yours\n" in capsys.readouterr().out


@pytest.mark.slow
def test_the_tests_written_for_each_kind_and_task_pass_as_they_are(project):
    write_each()
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
    n_passed = int(done.stdout.rpartition(" passed")[0].split()[-1])
    assert n_passed >= 3 * len(EACH)


@pytest.mark.parametrize(
    "kind",
    [kind if kind == "table" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
)
def test_a_new_study_of_each_kind_runs_at_once(project, monkeypatch, forkserver, kind):
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    monkeypatch.setenv("TUNING_HOME", str(project / "home"))
    monkeypatch.setenv("TUNING_DEVICES", "a")
    assert main(["new", "mine", "--kind", kind]) == 0

    options = RunOptions(budget={"trials": 2, "epochs": 2, "top_k": 1, "seeds": 1})
    summary = run_study("mine", options, None, forkserver)
    assert (summary.status, summary.counts["completed"]) == ("completed", 2)
    assert summary.winner.params.keys() >= {"batch_size"}


def test_what_is_written_passes_make_check(project):
    write_each()
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


def test_images_come_with_a_folder_of_samples(project, capsys):
    assert main(["new", "pets", "--kind", "images", "--task", "multiclass"]) == 0
    assert "sample images are in studies/pets-images" in capsys.readouterr().out
    folders = sorted((project / "studies" / "pets-images").iterdir())
    assert [folder.name for folder in folders] == ["cross", "disc", "square"]
    assert {len(list(folder.glob("*.png"))) for folder in folders} == {40}


def test_a_kind_says_for_which_tasks_it_is_written(project, capsys):
    assert main(["new", "sales", "--kind", "series", "--task", "binary"]) == 2
    said = capsys.readouterr().err
    assert "--kind series is not written for --task binary; there are: regression" in said
    assert list(project.iterdir()) == []


def test_the_new_study_is_listed(project, capsys):
    main(["new", "churn", "--task", "binary"])
    capsys.readouterr()
    assert main(["list", "--json"]) == 0
    assert '"maximize val_accuracy"' in capsys.readouterr().out


@pytest.mark.parametrize(
    "there",
    ["studies/churn.py", "tests/studies/test_churn.py", "studies/churn-images/cat.png"],
)
def test_nothing_is_overwritten_and_nothing_else_written(project, capsys, there):
    path = project / there
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert main(["new", "churn", "--kind", "images"]) == 2
    named = path.parent if there.endswith(".png") else path
    assert f"{named} is there already" in capsys.readouterr().err
    assert [p for p in project.rglob("*.*") if p != path] == []
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["../x", "Caps", "-", "a b", "x" * 65, "a.py"])
def test_a_name_that_is_no_study_name_is_refused(project, name):
    assert main(["new", "--", name]) == 2
    assert list(project.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("class", "a word of Python's"),
        ("match", "a word of Python's"),
        ("random", "that of a Python module"),
        ("keras", "that of a Python module"),
    ],
)
def test_a_name_that_python_takes_otherwise_is_refused(project, capsys, name, reason):
    assert main(["new", name]) == 2
    message = capsys.readouterr().err
    assert reason in message
    assert f"as my-{name}" in message
    assert list(project.iterdir()) == []


def test_a_folder_beside_is_no_module_of_that_name(project):
    (project / "churn").mkdir()
    assert main(["new", "churn"]) == 0
