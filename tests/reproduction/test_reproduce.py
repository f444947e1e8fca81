"""`tuning reproduce`: trained again from the record, through real workers."""

from __future__ import annotations

import json

import pytest

from tests.reproduction.studies import searched as searched  # a fixture
from tests.reproduction.studies import write_study
from tests.winners.test_winner import won
from tuning.cli.main import main

pytestmark = pytest.mark.slow
TINY = "tiny/optuna-random"


def reproduced(home, capsys, *words, code=0):
    assert main(["reproduce", *words, "--json", "--home", str(home)]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_trial_and_the_winner_are_equal_to_the_last_digit(searched, capsys):
    home = searched()
    before = {path: path.read_bytes() for path in home.rglob("*.json")}
    trial = reproduced(home, capsys, TINY, "2")
    assert (trial["verdict"], trial["differences"]) == ("equal", [])
    assert trial["recorded"] == trial["again"]
    winner = reproduced(home, capsys, TINY)
    assert (winner["verdict"], winner["differences"]) == ("equal", [])
    assert {path: path.read_bytes() for path in home.rglob("*.json")} == before


def test_folds_that_were_pruned_are_ended_at_the_same_epoch(searched, capsys):
    home = searched(engine="optuna:tpe", pruner="asha", cv=2, trials=8)
    (folder,) = (path.parent for path in home.glob("ledger/tiny/*/search.json"))
    pruned = [
        int(path.parent.name)
        for path in folder.glob("trials/*/result.json")
        if json.loads(path.read_text())["status"] == "pruned"
    ]
    assert pruned
    assert reproduced(home, capsys, f"tiny/{folder.name}", str(pruned[0]))["verdict"] == "equal"


def test_other_rows_and_code_are_named(searched, tmp_path, capsys):
    home = searched()
    write_study(tmp_path, data_seed=1)
    answer = reproduced(home, capsys, TINY, "1", code=1)
    assert answer["verdict"] == "different"
    assert [sentence.split(" (")[0] for sentence in answer["differences"]] == [
        "data: other rows than then",
        "code: the builder, or its file",
        "code: the data function, or its file",
    ]


def test_a_file_that_is_gone_is_told(searched, tmp_path, capsys):
    home = searched()
    (tmp_path / "tiny.py").unlink()
    assert main(["reproduce", TINY, "1", "--home", str(home)]) == 2
    assert f"is gone: put {tmp_path}/tiny.py back" in capsys.readouterr().err
    assert main(["reproduce", TINY, "9", "--home", str(home)]) == 2
    assert "has no trial 9; it has trials 0 to 3" in capsys.readouterr().err


def test_a_search_without_a_file_says_what_to_do(home, capsys):
    files = won(home, study="made")
    header = json.loads((files.folder / "search.json").read_text())
    (files.folder / "search.json").write_text(json.dumps({**header, "study_file": ""}))
    assert main(["reproduce", "made"]) == 2
    assert "no file has its study" in capsys.readouterr().err


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path))
    return tmp_path
