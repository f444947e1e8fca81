"""`tuning compare` from the command line, on ledgers made of files only."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.writer.searches import add_trials, end, search
from tuning.cli.main import main
from tuning.ledger.records import SearchStatus
from tuning.ledger.search import SearchFiles
from tuning.storage.locks import search_locked

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path, monkeypatch):
    for engine, count in (("optuna:tpe", 6), ("gridsearchcv", 3)):
        files = search(tmp_path, "toy", engine)
        add_trials(files, range(count))
        end(files)
    monkeypatch.setenv("TUNING_HOME", str(tmp_path))
    return tmp_path


def test_two_searches_are_shown_and_a_page_is_written(home, capsys):
    assert main(["compare", "toy/optuna-tpe", "toy/gridsearchcv"]) == 0
    printed = capsys.readouterr().out
    assert "toy/optuna-tpe" in printed
    assert "study: engine" in printed
    page = Path(printed.strip().splitlines()[-1])
    assert page.parent == home / "reports"
    assert "Best so far, over epochs" in page.read_text(encoding="utf-8")


def test_a_search_that_was_killed_is_not_running(home, capsys):
    folder = home / "ledger" / "toy" / "optuna-tpe"
    SearchFiles(folder).write_status(SearchStatus(status="running", at=0.0))
    assert main(["compare", "toy/optuna-tpe", "toy/gridsearchcv", "--json"]) == 0
    assert "interrupted" in capsys.readouterr().err
    with search_locked(folder, "this test"):
        main(["compare", "toy/optuna-tpe", "toy/gridsearchcv", "--json"])
    assert "running" in capsys.readouterr().err


def test_json_is_the_last_line_and_all_else_goes_to_stderr(home, capsys):
    assert main(["compare", "toy/optuna-tpe", "toy/gridsearchcv", "--json"]) == 0
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    result = json.loads(line)
    assert [one["name"] for one in result["searches"]] == ["toy/optuna-tpe", "toy/gridsearchcv"]
    assert result["searches"][1]["trials"]["completed"] == 3
    assert result["differences"]["study"]["engine"] == ["optuna:tpe", "gridsearchcv"]
    assert Path(result["report"]).is_file()
    assert "toy/optuna-tpe" in printed.err


def test_comparing_again_replaces_the_page(home, capsys):
    for _ in range(2):
        main(["compare", "toy/optuna-tpe", "toy/gridsearchcv"])
    assert len(list((home / "reports").glob("*.html"))) == 1


def test_every_search_that_is_not_there_is_told_at_once(home, capsys):
    assert main(["compare", "toy/optuna-tep", "ty/gridsearchcv"]) == 2
    message = capsys.readouterr().err
    assert "Did you mean 'toy/optuna-tpe'?" in message
    assert "Did you mean 'toy/gridsearchcv'?" in message


@pytest.mark.parametrize("words", [["toy/optuna-tpe"], ["toy/optuna-tpe", "toy/optuna-tpe"]])
def test_one_search_is_not_compared_with_itself(home, capsys, words):
    assert main(["compare", *words]) == 2
    assert "two or more searches, got only toy/optuna-tpe" in capsys.readouterr().err


def test_searches_of_one_name_from_two_state_folders_are_shown_by_their_ids(
    home, tmp_path_factory, capsys
):
    other = search(tmp_path_factory.mktemp("other"), "toy", "optuna:tpe")
    assert main(["compare", "toy/optuna-tpe", str(other.folder), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in result["searches"]] == [
        one["search"] for one in result["searches"]
    ]
    assert result["searches"][1]["name"] == other.header.id


def test_no_tensorflow_and_no_mlflow_is_imported_for_it(home):
    code = (
        "import sys; from tuning.cli.main import main; "
        "main(['compare', 'toy/optuna-tpe', 'toy/gridsearchcv']); "
        "print([m for m in ('tensorflow', 'keras', 'mlflow', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
