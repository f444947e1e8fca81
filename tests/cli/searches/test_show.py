"""`tuning show` and `tuning list --searches`, on ledgers made of files only."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tracking.writer.searches import add_trials, end, outcome, search, trial, winner
from tuning.cli.main import main
from tuning.cli.searches.follow import follow_search
from tuning.ledger.records import SearchStatus
from tuning.ledger.search import SearchFiles
from tuning.storage.locks import search_locked

ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.fixture
def files(home):
    """A search of ten trials that has ended with a winner."""
    files = search(home, trials=10)
    add_trials(files, range(10))
    files.write_winner(winner(number=3))
    end(files)
    return files


def shown(capsys, *words):
    assert main(["show", *words]) == 0
    return capsys.readouterr().out


def test_a_search_is_shown_whole(files, capsys):
    page = shown(capsys, "toy")
    assert "toy/optuna-tpe · completed on " in page
    assert "10 trials: 8 completed, 1 pruned, 1 failed" in page
    assert "Winner: trial 3, lr=0.1" in page
    assert "Finalists, on fresh seeds" in page
    assert "best val_rmse so far" in page
    assert "1 × failed: ValueError: no (trial 9)" in page


def test_as_json_the_winner_and_the_best_trial_are_told_apart(files, capsys):
    whole = json.loads(shown(capsys, "toy", "--json"))
    assert whole["best"]["number"] == 1
    assert whole["winner"]["number"] == 3
    assert whole["winner"]["params"] == {"lr": 0.1}
    assert whole["winner"]["mean"] == 0.5
    assert whole["winner"]["seeds"] == [9]
    assert whole["trials"] == {"completed": 8, "pruned": 1, "failed": 1, "infeasible": 0}
    assert whole["test"] == {"rmse": 0.5}


def test_a_trial_is_shown_with_its_curves(files, capsys):
    page = shown(capsys, "toy", "3")
    params = trial(3)[0].params
    assert "trial 3 of toy/optuna-tpe · completed" in page
    assert f"n_neurons   {params['n_neurons']}" in page
    assert "── val_rmse" in page
    assert "── loss  ── val_loss" in page


def test_a_trial_has_all_of_its_result_as_json(files, capsys):
    whole = json.loads(shown(capsys, "toy", "3", "--json"))
    assert whole["status"] == "completed"
    assert len(whole["curve"]) == 3
    assert whole["result"]["seed"] == 10


def test_a_trial_that_is_not_there_is_told_with_those_that_are(files, capsys):
    assert main(["show", "toy", "12"]) == 2
    assert "toy/optuna-tpe has no trial 12; it has trials 0 to 9" in capsys.readouterr().err


def test_an_interrupted_search_says_how_to_go_on(home, capsys):
    files = search(home, trials=8, variant={"epochs": 5, "patience": 2, "engine": "optuna:tpe"})
    add_trials(files, range(4), fault_every=0)
    files.write_spec(trial(4)[0])
    end(files, "interrupted")
    page = shown(capsys, "toy")
    assert "4 of 8 trials: 4 completed" in page
    assert "Not ended: the same command trains them" in page
    assert (
        f"go on  python -m tuning run {home / 'studies' / 'toy.py'} --epochs 5 "
        "--set patience=2 --engine optuna:tpe --trials 8" in page
    )


def test_a_study_in_the_folder_is_named_as_run_takes_it(home, capsys, monkeypatch):
    end(search(home), "interrupted")
    monkeypatch.chdir(home)
    assert "python -m tuning run toy --trials 20" in shown(capsys, "toy")


def test_a_study_with_several_searches_lists_them(home, files, capsys):
    search(home, engine="gridsearchcv")
    page = shown(capsys, "toy")
    assert [line.split()[0] for line in page.splitlines()[1:]] == [
        "toy/gridsearchcv",
        "toy/optuna-tpe",
    ]


@pytest.mark.parametrize("words", [["show"], ["list", "--searches"]])
def test_all_searches_are_listed_with_their_winners(home, files, capsys, words):
    add_trials(search(home, "alone", "optuna:random"), range(3))
    assert main(words) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[1].split()[:3] == ["alone/optuna-random", "begun", "3/20"]
    assert "trial 3: val_rmse 0.5000" in table[2]
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["search"] for row in rows] == ["alone/optuna-random", "toy/optuna-tpe"]
    assert rows[1]["winner"]["mean"] == 0.5


def test_a_damaged_search_keeps_no_other_from_being_listed(home, files, capsys):
    other = search(home, "alone")
    (other.folder / "search.json").write_text("{")
    assert main(["list", "--searches"]) == 0
    assert "damaged" in capsys.readouterr().out


def test_where_there_is_no_search_it_says_how_to_begin_one(home, capsys):
    assert "no searches in" in shown(capsys)
    assert main(["show", "toy"]) == 2
    assert "Run one: tuning run STUDY" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--follow"], ["toy", "3", "--follow"]])
def test_what_cannot_be_followed_is_refused(files, capsys, words):
    assert main(["show", *words]) == 2
    assert "--follow takes a SEARCH" in capsys.readouterr().err


def test_the_home_may_be_named(tmp_path, tmp_path_factory, capsys, monkeypatch):
    monkeypatch.delenv("TUNING_HOME", raising=False)
    search(tmp_path, "elsewhere")
    assert main(["list", "--searches", "--home", str(tmp_path)]) == 0
    assert "elsewhere/optuna-tpe" in capsys.readouterr().out


def test_a_running_search_is_followed_until_it_ends(home, capsys):
    files = search(home, trials=3)
    add_trials(files, range(1), fault_every=0)
    locked = search_locked(files.folder, "this test")
    locked.__enter__()
    looks = iter(
        [lambda: add_trials(files, range(1, 3), fault_every=0), lambda: _end(files, locked)]
    )
    follow_search(files, best=5, sleep=lambda seconds: next(looks)())
    lines = capsys.readouterr().out.splitlines()
    assert "running · 1 of 3 trials" in lines[0]
    followed = [line for line in lines if line.startswith("trial ") and "completed:" in line]
    assert [line.split()[1] for line in followed] == ["1", "2"]
    assert any("completed on" in line for line in lines)


def _end(files: SearchFiles, locked) -> None:
    files.write_winner(winner(number=1))
    end(files)
    locked.__exit__(None, None, None)


def test_finalists_are_shown_while_they_train(home, capsys):
    files = search(home)
    add_trials(files, range(3))
    for index, value in enumerate((0.51, 0.53)):
        files.write_finalist(replace(outcome(value), index=index))
    files.write_status(SearchStatus(status="running", at=0.0))
    with search_locked(files.folder, "this test"):
        page = shown(capsys, "toy")
    assert "0.5200 ± 0.014" in page
    assert "watch it" in page


def test_secrets_are_not_printed(home, capsys):
    files = search(home)
    proposal, result = trial(0)
    files.write_spec(proposal)
    files.write_result(replace(result, notices=("see postgresql://me:canary@db/x",)))
    assert "canary" not in shown(capsys, "toy")
    assert "canary" not in shown(capsys, "toy", "0")
    assert "canary" not in shown(capsys, "toy", "0", "--json")


def test_neither_tensorflow_nor_mlflow_is_imported_for_it(files):
    code = (
        "import sys; from tuning.cli.main import main; main(['show', 'toy']); "
        "main(['show', 'toy', '3']); main(['list', '--searches']); "
        "heavy = ('tensorflow', 'keras', 'mlflow', 'optuna', 'pandas', 'plotly', 'sklearn'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
