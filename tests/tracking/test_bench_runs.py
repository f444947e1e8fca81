"""A benchmark's searches as runs of one experiment."""

from __future__ import annotations

import pytest
from mlflow.tracking import MlflowClient

from tuning.errors import StorageError
from tuning.tracking import mlflow_patience
from tuning.tracking.bench_runs import CurvePoint, CurveRun, record_bench
from tuning.tracking.mlflow_store import QUIET

POINTS = [
    CurvePoint(4, 0.5, {"best_val_rmse": 0.9}),
    CurvePoint(8, 1.25, {"best_val_rmse": 0.7, "best_test_rmse": 0.8}),
]


def curve(name, failed=False):
    return CurveRun(
        id=f"small-{name}-00ff",
        name=f"{name} seed 0",
        params={"engine": name, "seed": 0},
        tags={"budget": "epochs=8"},
        points=POINTS,
        finals={"trials": 2.0},
        ended_at=1000.0,
        failed=failed,
    )


def test_each_search_is_a_run_with_its_curve_and_none_is_written_twice(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    place = record_bench(uri, tmp_path, "small", [curve("optuna:tpe")])
    both = [curve("optuna:tpe"), curve("gridsearchcv", failed=True)]
    assert record_bench(uri, tmp_path, "small", both) == place
    assert place.to_json() == {"tracking_uri": uri, "experiment_id": place.experiment_id}
    client = MlflowClient(uri)
    experiment = client.get_experiment(place.experiment_id)
    assert experiment.name == "small bench"
    assert "metrics.`best_test_rmse`" in experiment.tags["mlflow.sharedViewState.tuning"]
    runs = {run.info.run_name: run for run in client.search_runs([place.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {
        "optuna:tpe seed 0": "FINISHED",
        "gridsearchcv seed 0": "FAILED",
    }
    run = runs["optuna:tpe seed 0"]
    assert (run.data.params["engine"], run.data.metrics["trials"]) == ("optuna:tpe", 2.0)
    assert run.info.end_time - run.info.start_time == 1250
    history = client.get_metric_history(run.info.run_id, "best_val_rmse")
    assert [
        (point.step, point.value, point.timestamp - run.info.start_time) for point in history
    ] == [
        (4, 0.9, 500),
        (8, 0.7, 1250),
    ]


def test_what_a_kill_has_left_half_written_is_written_anew(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    place = record_bench(uri, tmp_path, "small", [])
    client = MlflowClient(uri)
    half = client.create_run(
        place.experiment_id, tags={"search": "small-optuna:tpe-00ff"}
    ).info.run_id
    record_bench(uri, tmp_path, "small", [curve("optuna:tpe")])
    (run,) = client.search_runs([place.experiment_id])
    assert run.info.run_id != half


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_a_store_that_cannot_be_reached_is_told_without_its_password(tmp_path, monkeypatch, scheme):
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(mlflow_patience, "_FIRST_PAUSE_S", 0.0)
    with pytest.raises(StorageError, match="MLflow has not taken the benchmark") as raised:
        record_bench(f"{scheme}://me:secret@127.0.0.1:9/x", tmp_path, "small", [])
    assert "secret" not in str(raised.value)
