"""`tuning run`: options in, exit codes and the one line of JSON out. The search itself is tested
elsewhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

import tuning.search.run
from tuning.cli.main import main
from tuning.cli.run import parse_settings, same_command
from tuning.errors import BusyError, MissingError, SearchFailed, StorageError, StudyError
from tuning.reports.summary import Summary
from tuning.study.objective import Minimize
from tuning.trial import Proposal, Status, TrialResult

ROOT = Path(__file__).parents[2]


def summary(status="completed"):
    trials = [(Proposal(0, {"lr": 0.1}, 3), TrialResult(0, Status.COMPLETED, 0.5, epochs=3))]
    return Summary(
        study="toy",
        engine="optuna:tpe",
        search="toy-1",
        status=status,
        objective=Minimize("val_rmse"),
        trials=trials,
    )


@pytest.fixture
def runs(monkeypatch):
    """Stand in for `run_study`; it keeps what it was called with and does as `outcome` says."""
    calls = []

    def run_study(study, options, progress, forkserver):
        calls.append((study, options, type(progress).__name__))
        if isinstance(run_study.outcome, Exception):
            raise run_study.outcome
        return run_study.outcome

    run_study.outcome, run_study.calls = summary(), calls
    monkeypatch.setattr(tuning.search.run, "run_study", run_study)
    monkeypatch.setattr("tuning.executors.forkserver.ForkServer", nullcontext)
    return run_study


@pytest.mark.parametrize(
    ("status", "code"),
    [("completed", 0), ("exhausted", 0), ("timeout", 0), ("interrupted", 130), ("terminated", 143)],
)
def test_the_exit_code_says_how_it_ended(runs, status, code):
    runs.outcome = summary(status)
    assert main(["run", "toy", "--quiet"]) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StudyError("no"), 2),
        (MissingError("no"), 3),
        (BusyError("no"), 75),
        (StorageError("no"), 75),
        (SearchFailed("no"), 1),
    ],
)
def test_an_error_is_told_once_and_gives_its_code(runs, capsys, error, code):
    runs.outcome = error
    assert main(["run", "toy", "--json"]) == code
    assert capsys.readouterr() == ("", "no\n")


def test_a_failed_search_still_gives_its_summary(runs, capsys):
    runs.outcome = SearchFailed("3 trials failed in a row")
    runs.outcome.summary = summary("failed")
    assert main(["run", "toy", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["status"] == "failed"
    assert err.endswith("3 trials failed in a row\n")


def test_with_json_the_last_line_of_stdout_is_the_object_and_the_table_goes_to_stderr(runs, capsys):
    main(["run", "toy", "--json"])
    out, err = capsys.readouterr()
    assert json.loads(out)["trials"]["completed"] == 1
    assert out.count("\n") == 1
    assert "val_rmse" in err


def test_quiet_with_json_prints_nothing_but_the_object(runs, capsys):
    main(["run", "toy", "--json", "--quiet"])
    out, err = capsys.readouterr()
    assert (json.loads(out)["study"], err) == ("toy", "")
    assert runs.calls[0][2] == "SilentProgress"


def test_without_json_the_table_goes_to_stdout(runs, capsys):
    main(["run", "toy", "--quiet"])
    assert "val_rmse" in capsys.readouterr().out


def test_what_changes_the_definition_is_kept_apart_from_budgets(runs):
    words = "run toy --engine optuna:random --epochs 5 --trials 7 --timeout 1h30m"
    main([*words.split(), "--set", "patience=5", "--set", "attempts=2", "--quiet"])
    options = runs.calls[0][1]
    assert options.variant == {"engine": "optuna:random", "epochs": 5, "patience": 5}
    assert options.budget == {"trials": 7, "timeout": 5400.0, "attempts": 2}


@pytest.mark.parametrize(
    ("engine", "bound"),
    [
        ("optuna:tpe", {}),
        ("optuna:nsga2", {"trials": 7}),
        ("gridsearchcv", {"trials": 7}),
        ("keras-tuner:random", {}),
    ],
)
def test_trials_tells_searches_apart_only_where_the_engine_goes_by_it(runs, engine, bound):
    main(["run", "toy", "--trials", "7", "--top-k", "2", "--quiet"])
    assert runs.calls[0][1].variant_of(engine) == bound


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fresh", "--allow-change"], "exclude each other"),
        (["--epochs", "3", "--set", "epochs=4"], "'epochs' is given twice"),
        (["--set", "epoch=4"], "a study has no 'epoch'. Did you mean 'epochs'?"),
        (["--set", "name=x"], "--set cannot change 'name'"),
        (["--set", "epochs"], "not of the form name=value"),
        (["--timeout", "soon"], "'soon' is not a time"),
        (["--timeout", "1h30"], "'1h30' is not a time"),
        (["--trials", "0"], "0 is not in the range"),
        (["--cv", "1"], "1 is not in the range"),
    ],
)
def test_wrong_arguments_are_told_before_anything_starts(runs, capsys, words, message):
    assert main(["run", "toy", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert runs.calls == []


def test_an_address_of_ray_is_refused_for_another_executor(runs, capsys):
    assert main(["run", "toy", "--ray-address", "auto"]) == 2
    words = "--ray-address is for --executor ray, and this is --executor local"
    assert words in " ".join(capsys.readouterr().err.split())
    assert runs.calls == []


def test_an_unknown_executor_is_refused_with_those_there_are(runs, capsys):
    assert main(["run", "toy", "--executor", "slurm"]) == 2
    assert (
        "executor 'slurm' is unknown. There are: inprocess, local, ray" in capsys.readouterr().err
    )
    assert runs.calls == []


def test_the_kind_of_split_reaches_the_run_as_another_search(runs):
    assert main(["run", "toy", "--split", "group"]) == 0
    assert runs.calls[0][1].variant == {"split": "group"}


def test_the_executor_reaches_the_run(runs):
    assert main(["run", "toy", "--executor", "inprocess"]) == 0
    assert runs.calls[0][1].executor == "inprocess"


def test_settings_are_json_where_they_can_be():
    words = ("patience=None", "test_size=0.2", "trainer=fit", "cv=3")
    assert parse_settings(words) == {"patience": None, "test_size": 0.2, "trainer": "fit", "cv": 3}


def test_what_could_not_be_written_is_told_to_the_quiet_too(runs, capsys):
    runs.outcome = replace(summary(), warnings=("MLflow: 2 trials are not written",))
    assert main(["run", "toy", "--quiet", "--json"]) == 0
    assert capsys.readouterr().err == "MLflow: 2 trials are not written\n"


def test_a_field_that_is_set_twice_is_told():
    with pytest.raises(StudyError, match="--set epochs is given twice"):
        parse_settings(("epochs=5", "epochs=6"))


def test_nothing_heavy_is_imported_before_tensorflows_import_begins(tmp_path):
    code = """
import sys
from tuning.executors.forkserver import ForkServer

def start(server):
    print(*({'numpy', 'rich', 'psutil', 'tuning.study.study'} & set(sys.modules)), "begun")
    raise SystemExit

ForkServer.__enter__ = start
from tuning.cli.main import main
main(["run", "housing", "--trials", "2", "--devices", "cpu:1"])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["begun"]


def test_from_names_another_search(runs):
    assert main(["run", "toy", "--quiet", "--from", "toy/optuna-random", "--trials", "3"]) == 0
    ((_, options, _),) = runs.calls
    assert options.source == "toy/optuna-random"
    assert options.variant == {}
    assert main(["run", "toy", "--quiet"]) == 0
    assert runs.calls[1][1].source is None


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["run", "housing", "--fresh"], "python -m tuning run housing"),
        (
            ["run", "my study.py", "--set", "patience=5"],
            "python -m tuning run 'my study.py' --set patience=5",
        ),
        (["-c"], ""),
    ],
)
def test_the_same_command_goes_on_and_never_begins_anew(words, again):
    assert same_command(["/usr/bin/tuning", *words]) == again


def test_a_run_that_was_stopped_says_how_it_goes_on(runs, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tuning", "run", "housing", "--trials", "8"])
    runs.outcome = summary("interrupted")
    assert main(["run", "housing", "--trials", "8"]) == 130
    assert "continue python -m tuning run housing --trials 8" in capsys.readouterr().out
