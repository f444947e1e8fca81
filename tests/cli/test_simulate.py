"""`tuning simulate` through the front door."""

import json

import pytest

from tests.simulation.recorded import write
from tuning.cli.main import main


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_shipped_recording_can_be_simulated_at_once(capsys):
    words = "simulate housing_grid --seeds 2 --trials 9 --slots 1,8 --exact --json"
    assert main(words.split()) == 0

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["study"] == "housing_grid"
    assert result["simulated_trials"] == 2 * 2 * 2 * 9
    assert [each["slots"] for each in result["standings"]] == [1, 8, 1, 8]
    assert result["standings"][1]["wall_s"] < result["standings"][0]["wall_s"]
    assert result["report"].endswith("simulation-housing_grid.html")


def test_engines_that_never_end_by_themselves_make_20_trials_of_a_study_that_names_none(capsys):
    engines = "optuna:random,optuna:tpe,gridsearchcv"
    words = f"simulate housing_grid --engines {engines} --slots 8 --seeds 1 --json"
    assert main(words.split()) == 0
    assert json.loads(capsys.readouterr().out)["simulated_trials"] == 2 * 20 + 27


def test_a_function_is_simulated_with_a_pruner_and_faults(capsys):
    options = "--engines optuna:tpe+asha --slots 4 --seeds 1 --trials 12 --crash-rate 0.2"
    assert main(["simulate", "noisy_branin", *options.split()]) == 0
    assert "optuna:tpe+asha" in capsys.readouterr().out


def test_a_recording_is_named_by_its_path(tmp_path, capsys):
    path = write(tmp_path)
    options = "--engines gridsearchcv --slots 2 --seeds 1 --json"
    assert main(["simulate", str(path), *options.split()]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["recording"] == str(path)


def test_a_study_without_a_recording_is_told_how_to_make_one(capsys):
    assert main(["simulate", "housing"]) == 2
    assert "make one with: tuning record housing" in capsys.readouterr().err


def test_exact_ends_with_the_point_that_was_not_recorded(tmp_path, capsys):
    from tests.simulation.recorded import LINE

    path = write(tmp_path, LINE, [{"lr": 0.1}, {"lr": 0.2}])
    assert main(["simulate", str(path), "--exact", "--engines", "optuna:random"]) == 2
    assert "was not recorded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--slots", "0"], "is not a list of numbers of slots"),
        (["--slots", "many"], "is not a list of numbers of slots"),
        (["--engines", "optuna:tp"], "Did you mean 'optuna:tpe'?"),
        (["--crash-rate", "2"], "0<=x<=1"),
    ],
)
def test_wrong_arguments_end_with_2_and_say_what_would_work(arguments, words, capsys):
    assert main(["simulate", "branin", *arguments]) == 2
    assert words in capsys.readouterr().err
