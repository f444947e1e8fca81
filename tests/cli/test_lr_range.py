"""`tuning lr-range` from the command line to MLflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuning.cli.main import main
from tuning.lr_range.result import LRRange


@pytest.mark.slow
def test_a_test_is_printed_drawn_and_recorded(project, capsys):
    words = "lr-range plane --steps 60 --seeds 2 --batch-size 16 --json"
    assert main(words.split()) == 0

    printed = capsys.readouterr()
    result = json.loads(printed.out.splitlines()[-1])
    assert (result["study"], result["label"], result["batch_size"], result["seeds"]) == (
        "plane",
        "n_hidden=1, batch_size=16",
        16,
        2,
    )
    assert result["suggestions"].keys() == result["definitions"].keys()
    assert result["bounds"] == [1e-4, 1e-1]
    assert "where the smoothed loss falls fastest" in printed.err

    files = {kind: Path(path) for kind, path in result["files"].items()}
    assert files["png"].parent == project / "home" / "reports"
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    test = LRRange.from_json(json.loads(files["json"].read_text()))
    assert test.suggestions == result["suggestions"]
    _check_run(result, files)


def _check_run(result, files):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(result["mlflow"]["tracking_uri"])
    run = client.get_run(result["mlflow"]["run_id"])
    assert client.get_experiment(run.info.experiment_id).name == "plane"
    assert (run.info.run_name, run.info.status) == ("lr range test", "FINISHED")
    assert run.data.metrics["suggested.valley"] == pytest.approx(result["suggestions"]["valley"])
    assert run.data.params["batch_size"] == "16"
    assert len(client.get_metric_history(run.info.run_id, "smoothed_loss")) > 10
    artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert artifacts == {path.name for path in files.values()}


@pytest.mark.parametrize(
    "words", [["nowhere"], ["plane", "--steps", "3"], ["plane", "--devices", "tpu"]]
)
def test_what_is_wrong_is_told_before_tensorflow_starts(project, words):
    assert main(["lr-range", *words]) in (2, 3)
    assert not (project / "home" / "reports").exists()


def test_rates_in_the_wrong_order_end_with_two(project, capsys):
    assert main(["lr-range", "plane", "--lr-min", "1", "--lr-max", "0.1"]) == 2
    assert (
        "lr_min and lr_max must be 0 < lr_min < lr_max, got 1.0 and 0.1" in capsys.readouterr().err
    )
