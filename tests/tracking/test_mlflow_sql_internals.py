"""Whole runs written at once leave the rows that MLflow's own calls leave."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from tests.tracking.contract import record
from tests.tracking.writer.searches import spoiled, trial
from tuning.tracking.base import progress_points
from tuning.tracking.mlflow_store import QUIET, ensure_database
from tuning.tracking.mlflow_tracker import MlflowTracker
from tuning.trial import Status

TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    home = tmp_path_factory.mktemp("sql")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET.items():
            patch.setenv(name, value)
        uri = f"sqlite:///{home / 'mlflow.db'}"
        ensure_database(uri)
        yield uri, home


def tracker(store, study, *, public):
    made = MlflowTracker(*store)
    if public:
        made._sql = None
    made.begin(record(f"{study}-optuna-tpe-00000001"))
    return made


def rows(store, study):
    """Return the rows of a study's experiment, ids of runs and its name taken out."""
    found = {}
    with closing(sqlite3.connect(store[1] / "mlflow.db")) as db:
        query = (
            "SELECT run_uuid, r.name FROM runs r JOIN experiments e USING (experiment_id) "
            "WHERE e.name = ?"
        )
        names = dict(db.execute(query, (study,)))
        experiment = db.execute("SELECT experiment_id FROM experiments WHERE name = ?", (study,))
        (experiment_id,) = experiment.fetchone()
        for table in TABLES:
            cursor = db.execute(f"SELECT * FROM {table}")
            columns = [column[0] for column in cursor.description]
            found[table] = sorted(
                str(_plain(dict(zip(columns, row, strict=True)), names, study, experiment_id))
                for row in cursor
                if row[columns.index("run_uuid")] in names
            )
    return found


def _plain(row, names, study, experiment_id):
    run_id = row["run_uuid"]
    parent = next(run for run, name in names.items() if name.startswith("optuna:tpe"))
    text = {key: str(value).replace(run_id, "RUN") for key, value in row.items()}
    text = {key: value.replace(parent, "PARENT") for key, value in text.items()}
    if "experiment_id" in text and text["experiment_id"] == str(experiment_id):
        text["experiment_id"] = "EXPERIMENT"
    return {**text, "run_uuid": names[run_id], "in": "", **_without(text, study)}


def _without(text, study):
    return {key: value.replace(study, "STUDY") for key, value in text.items() if key != "run_uuid"}


def trials():
    """Return trials of every end, one with folds, one of equal points, one with odd names."""
    ends = [Status.PRUNED, Status.FAILED, Status.DIVERGED, Status.INFEASIBLE]
    made = [trial(0), trial(1, folds=3), trial(2, epochs=60)]
    for number, end in enumerate(ends, 3):
        proposal, result = trial(number)
        made.append((proposal, spoiled(result, end)))
    proposal, result = trial(7)
    made.append((proposal, replace(result, metrics={"val rmse (%)": 0.5, "val_rmse": 0.25})))
    proposal, result = trial(8)
    made.append((replace(proposal, params={"note": "x" * 7000, "a[b]": None}), result))
    return made


def test_whole_runs_are_row_by_row_what_mlflows_own_calls_write(store):
    for study, public in (("separately", True), ("together", False)):
        made = tracker(store, study, public=public)
        assert made.record_trials(trials()) == []
        results = [result for _, result in trials()]
        made.record_progress(progress_points(record(), results[:4]))
        made.record_progress(progress_points(record(), results))
        made.end("completed", 1_760_000_500.0)
    asked = rows(store, "separately")
    whole = rows(store, "together")
    for table in TABLES:
        assert whole[table] == asked[table], table
    assert len(whole["runs"]) == 1 + len(trials())


def test_what_mlflow_refuses_is_refused_and_the_others_are_written(store):
    made = tracker(store, "refused", public=False)
    proposal, result = trial(0)
    (refusal,) = made.record_trials([(replace(proposal, params={"": 1}), result), trial(1)])
    assert str(refusal).startswith("trial 0: ")
    assert [text for text in rows(store, "refused")["runs"] if "trial" in text]


def test_a_batch_that_fails_leaves_nothing_half_written(store, monkeypatch):
    from tuning.tracking import mlflow_sql_internals

    made = tracker(store, "halves", public=False)
    with monkeypatch.context() as patch:
        patch.setattr(mlflow_sql_internals, "_latest_rows", lambda runs: [{"key": "no run"}])
        with pytest.raises(Exception, match="latest_metrics"):
            made.record_trials([trial(0), trial(1)])
    assert len(rows(store, "halves")["runs"]) == 1
    made.record_trials([trial(0), trial(1)])
    assert len(rows(store, "halves")["runs"]) == 3
