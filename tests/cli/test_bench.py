"""`tuning bench` from the command line to report and MLflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuning import Minimize, Study
from tuning.cli.main import main
from tuning.search.lr_bounds import measure_lr_bounds
from tuning.storage.durable import write_json


@pytest.mark.slow
def test_a_bench_is_told_drawn_and_recorded(project, capsys):
    words = "bench plane --engines randomizedsearchcv,optuna:tpe --seeds 2 --budget epochs=7"
    assert main([*words.split(), "--devices", "cpu:1", "--json"]) == 0

    printed = capsys.readouterr()
    result = json.loads(printed.out.splitlines()[-1])
    assert (result["study"], result["seeds"], result["budget"]) == ("plane", 2, "epochs=7")
    assert result["medians"]["plane"].keys() == {"randomizedsearchcv", "optuna:tpe"}
    assert result["comparisons"]["plane"][0]["verdict"] == "too few seeds"
    assert "[4/4] plane · optuna:tpe · seed 1: val_rmse" in printed.err
    assert result["report"] in printed.err

    page = Path(result["report"])
    assert page.parent == project / "home" / "reports"
    assert "optuna:tpe" in page.read_text()
    _check_mlflow(result)


@pytest.mark.slow  # 20 s: a range test, a search, and their processes anew
def test_a_bench_whose_rates_come_from_a_range_test_is_given_twice(project, capsys):
    study = project / "studies" / "plane.py"
    study.write_text(study.read_text().replace("Float(1e-4, 1e-1, log=True)", '"from_range_test"'))
    words = ["bench", "plane", "--engines", "optuna:random", "--seeds", "1", "--budget", "trials=1"]
    assert main([*words, "--devices", "cpu:1", "--json"]) == 0
    first = capsys.readouterr()
    assert "learning-rate range test of lr" in first.err
    assert main([*words, "--devices", "cpu:1", "--json"]) == 0
    second = capsys.readouterr()
    assert "learning-rate range test" not in second.err  # its bounds are remembered
    medians = [json.loads(printed.out.splitlines()[-1])["medians"] for printed in (first, second)]
    assert medians[0] == medians[1]


def test_the_bounds_of_a_bench_of_the_first_release_are_gone_on_with(tmp_path):
    write_json(tmp_path / "search.json", {"intervals": {"lr": [1e-3, 1e-2]}})
    study = Study(
        name="plane",
        builder=lambda lr: None,
        data=lambda: None,
        objective=Minimize("val_rmse"),
        space={"lr": "from_range_test"},
    )
    rates = measure_lr_bounds(study, "", {}, tmp_path, devices="no such device")
    assert rates.intervals == {"lr": [1e-3, 1e-2]}


def _check_mlflow(result):
    from mlflow.tracking import MlflowClient

    (stored,) = result["mlflow"]
    client = MlflowClient(stored["tracking_uri"])
    runs = client.search_runs([stored["experiment_id"]])
    assert sorted(run.info.run_name for run in runs) == [
        "optuna:tpe seed 0",
        "optuna:tpe seed 1",
        "randomizedsearchcv seed 0",
        "randomizedsearchcv seed 1",
    ]
    history = client.get_metric_history(runs[0].info.run_id, "best_test_rmse")
    assert [point.step for point in history] == [3, 6, 7]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["plane", "--budget", "hours=3"],
            "'hours=3' is not a budget; write epochs=2000, trials=50 or time=10m",
        ),
        (["plane", "--budget", "epochs=0"], "'epochs=0' is not a budget"),
        (["plane", "--budget", "time=soon"], "'soon' is not a time"),
        (["plane", "--engines", "optuna:tpa"], "Did you mean 'optuna:tpe'?"),
        (["plain"], "Did you mean 'plane'?"),
        ([], "Missing argument 'STUDY...'"),
        (["plane", "--memory-per-slot", "much"], "'much' is not a size"),
        (["plane", "--devices", "cpu", "--gpu-hours", "1"], "no slot of --devices cpu is a GPU"),
        (["plane", "--slots-per-gpu", "auto"], "say how many for `tuning bench`"),
        (["plane", "--slots-per-gpu", "0"], "0 is not in the range 1<=x<=999"),
    ],
)
def test_what_is_wrong_is_told_before_tensorflow_starts(project, capsys, words, message):
    assert main(["bench", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (project / "home").exists()


@pytest.mark.parametrize("verb", ["bench", "lr-range", "record"])
def test_a_quota_that_is_used_up_is_told_before_tensorflow_starts(project, capsys, verb):
    home = project / "home"
    home.mkdir(mode=0o700)
    (home / "full").write_bytes(b"x" * 10_000)
    assert main([verb, "plane", "--quota", "1K"]) == 75
    assert "more than the --quota of 1 kB" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow  # 20 s: a worker of a benchmark is lost three times
@pytest.mark.parametrize(
    "words",
    [
        "bench plane --engines optuna:random --seeds 1 --budget trials=1 --devices cpu:1",
        "lr-range plane --steps 60 --seeds 1 --devices cpu:1",
    ],
)
def test_what_takes_more_memory_than_a_slot_has_is_ended(project, capsys, words):
    assert main([*words.split(), "--memory-per-slot", "1M"]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "of the 0.00 GB that it may (--memory-per-slot)" in error
