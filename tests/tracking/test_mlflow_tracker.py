"""MLflow on SQLite: the contract, and how a search looks there."""

from __future__ import annotations

import json
import math
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.tracking.contract import Seen, TrackerContract, record
from tests.tracking.writer.searches import search as make_search
from tests.tracking.writer.searches import spoiled, trial, winner
from tuning.tracking.base import Best, Progress, SearchRecord
from tuning.tracking.mlflow_metrics import POINTS
from tuning.tracking.mlflow_model import ModelFacts, show_model
from tuning.tracking.mlflow_store import QUIET, ensure_database, experiment_of
from tuning.tracking.mlflow_tracker import MlflowTracker
from tuning.tracking.mlflow_view import search_views
from tuning.trial import Status


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """One database for all tests of this file: each has its own experiment."""
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    home = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{home / 'mlflow.db'}"
    ensure_database(uri)
    return uri, home


def client(store):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store[0])


def runs(store, tracker, kind="trial"):
    return list(
        client(store).search_runs(
            [tracker.experiment_id], f"tags.kind = '{kind}'", order_by=["start_time ASC"]
        )
    )


class TestMlflowTracker(TrackerContract):
    @pytest.fixture(autouse=True)
    def _store(self, store):
        self.store = store

    def tracker(self):
        return MlflowTracker(*self.store)

    def again(self, tracker):
        return MlflowTracker(*self.store)

    def seen(self, tracker, search):
        run = client(self.store).get_run(tracker.run_id)
        return Seen(
            [int(each.data.tags["trial"]) for each in runs(self.store, tracker)],
            [int(each.data.tags["trial"]) for each in runs(self.store, tracker, "finalist")],
            [
                point.step
                for point in client(self.store).get_metric_history(tracker.run_id, "trials")
            ],
            run.data.tags["status"],
            {file.path for file in client(self.store).list_artifacts(tracker.run_id)},
        )


@pytest.fixture
def begun(store, request):
    tracker = MlflowTracker(*store)
    tracker.begin(record(f"s{abs(hash(request.node.nodeid)) % 10**8}-optuna-tpe-00000001"))
    return tracker


def test_a_trial_is_a_child_with_its_parameters_curve_times_and_tags(store, begun):
    proposal, result = trial(7, epochs=4)
    begun.record_trial(proposal, result)
    (run,) = runs(store, begun)
    assert run.info.run_name == "trial 7"
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (
        result.started_at * 1000,
        result.ended_at * 1000,
    )
    assert run.data.params == {name: str(value) for name, value in proposal.params.items()}
    assert run.data.metrics["val_rmse"] == result.value
    assert run.data.metrics["best_epoch"] == 4
    history = client(store).get_metric_history(run.info.run_id, "val_rmse")
    assert [point.step for point in history] == [1, 2, 3, 4]
    tags = {
        name: run.data.tags[name]
        for name in ("device", "seed", "attempt", "status", "mlflow.parentRunId")
    }
    assert tags == {
        "device": "cpu:1",
        "seed": "14",
        "attempt": "1",
        "status": "completed",
        "mlflow.parentRunId": begun.run_id,
    }


def test_a_trial_shows_what_it_used_and_its_own_devices_as_system_metrics(store, begun):
    samples = tuple(
        {
            "at": 1_000.0 + 5 * i,
            "process_memory_megabytes": 300.0 + i,
            "gpu_0_power_usage_watts": 90.0,
        }
        for i in range(3)
    )
    proposal, result = trial(0, epochs=2)
    begun.record_trial(proposal, replace(result, cpu_s=12.5, gpu_s=7.0, samples=samples))
    (run,) = runs(store, begun)
    assert (run.data.metrics["time/cpu_s"], run.data.metrics["time/gpu_s"]) == (12.5, 7.0)
    history = client(store).get_metric_history(run.info.run_id, "system/process_memory_megabytes")
    assert [(point.step, point.timestamp, point.value) for point in history] == [
        (0, 1_000_000, 300.0),
        (1, 1_005_000, 301.0),
        (2, 1_010_000, 302.0),
    ]
    assert run.data.metrics["system/gpu_0_power_usage_watts"] == 90


def test_the_metric_shown_is_that_of_the_weights_kept_not_of_the_last_epoch(store, begun):
    proposal, result = trial(0, epochs=4)
    begun.record_trial(proposal, replace(result, value=0.25, metrics={"val_rmse": 0.25}))
    (run,) = runs(store, begun)
    assert run.data.metrics["val_rmse"] == 0.25


def test_long_curves_are_thinned_with_both_ends(store, begun):
    begun.record_trial(*trial(0, epochs=120))
    history = client(store).get_metric_history(runs(store, begun)[0].info.run_id, "val_loss")
    assert len(history) == POINTS
    assert (history[0].step, history[-1].step) == (1, 120)


@pytest.mark.parametrize(
    ("status", "run_status"),
    [
        (Status.PRUNED, "KILLED"),
        (Status.FAILED, "FAILED"),
        (Status.DIVERGED, "FAILED"),
        (Status.INFEASIBLE, "FAILED"),
    ],
)
def test_bad_ends_are_told_apart_and_nothing_infinite_is_logged(store, begun, status, run_status):
    proposal, result = trial(3)
    begun.record_trial(proposal, spoiled(result, status))
    (run,) = runs(store, begun)
    assert (run.info.status, run.data.tags["status"]) == (run_status, status.value)
    assert all(math.isfinite(value) and value < 1e300 for value in run.data.metrics.values())


def test_folds_are_a_table(store, begun):
    from mlflow.artifacts import load_dict

    begun.record_trial(*trial(0, folds=3))
    (run,) = runs(store, begun)
    table = load_dict(f"{run.info.artifact_uri}/folds.json")
    assert table["columns"][:2] == ["fold", "value"]
    assert [row[0] for row in table["data"]] == [0, 1, 2]


def test_the_parent_shows_study_space_data_and_source_without_secrets(store, tmp_path):
    header = make_search(tmp_path, "secretive").header
    tracker = MlflowTracker(*store)
    tracker.begin(SearchRecord.from_header(header))
    run = client(store).get_run(tracker.run_id)
    assert run.data.params["space.lr"] == "Float(low=0.0003, high=0.03, log=True)"
    assert run.data.params["study.trials"] == "20"
    assert run.data.tags["git_commit"] == "c0ffee"
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "california housing"
    assert json.loads(data.dataset.profile)["rows"] == 20640
    assert {file.path for file in client(store).list_artifacts(tracker.run_id)} == {"secretive.py"}
    assert "canary" not in str(run.to_dictionary())


def test_a_resumed_search_with_another_budget_keeps_the_first_and_shows_the_new_one(
    store, tmp_path
):
    header = make_search(tmp_path, "regrown").header
    tracker = MlflowTracker(*store)
    tracker.begin(SearchRecord.from_header(header))
    tracker.begin(SearchRecord.from_header(replace(header, trials=40)))
    data = client(store).get_run(tracker.run_id).data
    assert (data.params["study.trials"], data.tags["now.study.trials"]) == ("20", "40")
    assert len(client(store).get_run(tracker.run_id).inputs.dataset_inputs) == 1


def test_a_run_made_by_a_request_whose_answer_was_lost_is_removed_at_the_end(store, begun):
    begun.record_trial(*trial(0))
    (run,) = runs(store, begun)
    lost = client(store).create_run(begun.experiment_id, tags=run.data.tags)
    begun.end("completed", 1_760_000_100.0)
    assert [each.info.run_id for each in runs(store, begun)] == [run.info.run_id]
    assert client(store).get_run(lost.info.run_id).info.lifecycle_stage == "deleted"


def test_a_run_left_half_written_is_completed_not_doubled(store, begun):
    proposal, result = trial(0)
    begun.record_trial(proposal, result)
    (run,) = runs(store, begun)
    client(store).update_run(
        run.info.run_id, status="RUNNING"
    )  # as after a kill before the last call
    second = MlflowTracker(*store)
    second.begin(begun._search)
    second.record_trial(proposal, result)
    (same,) = runs(store, begun)
    assert (same.info.run_id, same.info.status) == (run.info.run_id, "FINISHED")
    assert len(client(store).get_metric_history(run.info.run_id, "val_rmse")) == 3


def test_the_default_experiment_is_not_shown(store):
    assert "Default" not in [each.name for each in client(store).search_experiments()]


def test_the_winner_is_a_model_that_mlflow_loads_back(store, begun, tmp_path, monkeypatch):
    keras = pytest.importorskip("keras")
    import mlflow

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.save(tmp_path / "winner.keras")
    for _ in range(2):
        begun.record_winner(winner(3), tmp_path / "winner.keras")
    run = client(store).get_run(begun.run_id)
    (logged,) = client(store).search_logged_models([begun.experiment_id])
    assert run.data.metrics["test_rmse"] == 0.5
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store[0])
    loaded = mlflow.keras.load_model(logged.artifact_location)
    assert [w.tolist() for w in loaded.get_weights()] == [w.tolist() for w in model.get_weights()]


def test_the_winner_takes_its_preparation_and_its_threshold_along(
    store, begun, tmp_path, monkeypatch
):
    keras = pytest.importorskip("keras")
    import mlflow

    from tuning.data.columns import table_scaler
    from tuning.data.dataset import Column
    from tuning.trials.saved_model import inputs_of, save_for_raw_inputs
    from tuning.trials.verdict.decision import classes_of, keep_threshold

    columns = (Column("size"), Column("kind", ("a", "b")))
    rows = np.array([[1.0, 0.0], [3.0, 1.0], [np.nan, 1.0]])
    scaler = table_scaler(rows, columns)
    path = tmp_path / "winner.keras"
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    save_for_raw_inputs(model, scaler, path)
    begun.record_winner(winner(3), path)
    keep_threshold(path, 0.25, ("no", "yes"))
    begun.record_winner(winner(3), path)

    logged = client(store).search_logged_models([begun.experiment_id])
    assert len(logged) == 2  # without the threshold it was another winner
    newest = max(logged, key=lambda each: each.creation_timestamp)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store[0])
    folder = mlflow.artifacts.download_artifacts(newest.artifact_location)
    file = Path(folder) / "data" / "model.keras"
    frame = pd.DataFrame({"kind": ["b", "a"], "size": [1.0, 3.0]})
    np.testing.assert_array_equal(inputs_of(file, frame), inputs_of(path, frame))
    assert classes_of(file, [[0.2], [0.3]]).tolist() == ["no", "yes"]


def test_the_experiment_has_a_view_with_metrics_and_searched_parameters_as_columns(store, tmp_path):
    tracker = MlflowTracker(*store)
    tracker.begin(SearchRecord.from_header(make_search(tmp_path, "viewed").header))
    tags = client(store).get_experiment(tracker.experiment_id).tags
    columns = json.loads(tags["mlflow.sharedViewState.tuning"])["selectedColumns"]
    assert {"metrics.`val_rmse`", "metrics.`test_rmse`", "params.`lr`", "tags.`engine`"} <= set(
        columns
    )


def test_the_view_has_a_column_for_each_objective(tmp_path):
    record = SearchRecord.from_header(make_search(tmp_path, "viewed").header)
    tag, _ = search_views(replace(record, other_metrics=("n_parameters",)))
    columns = json.loads(tag.value)["selectedColumns"]
    assert columns[:2] == ["metrics.`val_rmse`", "metrics.`n_parameters`"]


@pytest.mark.parametrize(("direction", "ascending"), [("minimize", True), ("maximize", False)])
def test_the_view_has_the_best_trial_first(tmp_path, direction, ascending):
    record = SearchRecord.from_header(make_search(tmp_path, "viewed").header)
    for view in search_views(replace(record, direction=direction)):
        state = json.loads(view.value)
        assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`val_rmse`", ascending)


def test_a_second_view_has_the_trials_of_all_engines_alone(store, tmp_path):
    for number, engine in enumerate(("optuna:tpe", "optuna:random")):
        tracker = MlflowTracker(*store)
        files = make_search(tmp_path, "twice", engine)
        tracker.begin(SearchRecord.from_header(files.header))
        tracker.record_trial(*trial(number))
        tracker.record_winner(winner(number), None)
    tags = client(store).get_experiment(tracker.experiment_id).tags
    only = json.loads(tags["mlflow.sharedViewState.trials"])["searchFilter"]
    shown = client(store).search_runs([tracker.experiment_id], only)
    assert {run.info.run_name for run in shown} == {"trial 0", "trial 1"}


def test_a_searchs_run_has_the_winners_parameters_and_its_mean_among_the_trials(store, begun):
    begun.record_winner(winner(3), None)
    run = client(store).get_run(begun.run_id)
    assert run.data.params["lr"] == "0.1"
    assert run.data.metrics["val_rmse"] == 0.5


def test_a_later_winner_takes_the_place_of_the_earlier_ones_parameters(store, begun):
    first = winner(3)
    begun.record_winner(first, None)
    standing = replace(first.standing, params={"lr": 0.2})
    begun.record_winner(replace(first, standing=standing, at=first.at + 1), None)
    run = client(store).get_run(begun.run_id)
    assert run.data.params["lr"] == run.data.tags["winner.lr"] == "0.2"


def test_the_note_of_a_search_tells_of_its_trials_and_of_its_winner(store, begun):
    for finished in (1, 2):
        begun.record_progress([Progress(finished, Best(0.5, 1), {"completed": finished}, 0.0)])
        begun.record_winner(winner(3), None)
    note = client(store).get_run(begun.run_id).data.tags["mlflow.note.content"]
    assert note.count("2 trials") == note.count("Winner: trial 3") == 1
    assert "1 trial " not in note


def test_what_somebody_wrote_about_an_experiment_stays(store, tmp_path):
    record = SearchRecord.from_header(make_search(tmp_path, "described").header)
    tracker = MlflowTracker(*store)
    tracker.begin(record)
    note = "mlflow.note.content"
    first = client(store).get_experiment(tracker.experiment_id).tags[note]
    assert first.startswith("Study `described`: minimize val_rmse on california housing (20,640")
    client(store).set_experiment_tag(tracker.experiment_id, note, "mine")
    MlflowTracker(*store).begin(record)
    assert client(store).get_experiment(tracker.experiment_id).tags[note] == "mine"


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("file:///dev/null/a", "file:///dev/null/a does not take them (NotADirectoryError: "),
        ("mlflow-artifacts:/7", "they go through a tracking server (mlflow-artifacts:/7)"),
    ],
)
def test_a_place_that_takes_no_artifacts_keeps_no_run_from_being_written(
    store, tmp_path, place, fault
):
    study = f"placed{len(place)}"
    client(store).create_experiment(study, place)
    tracker = MlflowTracker(*store)
    tracker.begin(SearchRecord.from_header(make_search(tmp_path, study).header))
    assert tracker.record_trials([trial(0, folds=2), trial(1)]) == []
    tracker.record_winner(winner(), None)
    tracker.end("completed", 1_760_000_100.0)

    assert tracker.unkept.startswith(f"artifacts are left out: {fault}")
    assert [run.info.status for run in runs(store, tracker)] == ["FINISHED"] * 2
    assert client(store).get_run(tracker.run_id).info.status == "FINISHED"


def test_runs_below_a_double_of_the_searchs_own_come_below_the_one_that_stays(store):
    search = record("doubled-optuna-tpe-00000001")
    tracker = MlflowTracker(*store)
    tracker.begin(search)
    tracker.record_trial(*trial(0))
    tags = client(store).get_run(tracker.run_id).data.tags
    # Of a request that a server which hung carried out later; it is the older one of the two.
    double = client(store).create_run(
        tracker.experiment_id,
        start_time=1,
        tags={name: tags[name] for name in ("attempt_id", "search")},
    )
    again = MlflowTracker(*store)
    again.begin(search)
    again.record_trial(*trial(1))
    again.end("completed", 1_760_000_100.0)

    assert again.run_id == double.info.run_id
    parents = {run.data.tags["mlflow.parentRunId"] for run in runs(store, again)}
    assert parents == {again.run_id}


def test_a_server_that_knows_no_models_by_themselves_gets_the_winners_file(tmp_path):
    class UnknownCall(Exception):
        error_code = "ENDPOINT_NOT_FOUND"

    class OldServer:
        files = ()

        def search_logged_models(self, *words):
            raise UnknownCall

        def log_artifact(self, run_id, path):
            self.files = (*self.files, (run_id, path))

    model = tmp_path / "winner.keras"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
    server = OldServer()
    show_model(server, "1", "a", model, ModelFacts(search="s"))
    assert server.files == (("a", str(model)),)


def test_two_searches_may_make_the_experiment_of_a_study_at_once(store, monkeypatch):
    slow = client(store)
    fast = client(store).create_experiment("raced")
    experiment = slow.get_experiment(fast)
    answers = iter([None, experiment])  # it was not there yet when this search looked
    monkeypatch.setattr(slow, "get_experiment_by_name", lambda name: next(answers))
    assert experiment_of(slow, *store, "raced") == fast
