"""The check that campaigns end with finds what is wrong, and nothing where nothing is."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from tests.chaos.nothing_lost import nothing_lost
from tuning.executors.devices.leases import Leases


def sql(home, name, *statements):
    with closing(sqlite3.connect(home / name)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def trial(home, number):
    (folder,) = home.glob(f"ledger/*/*/trials/{number:05d}")
    return folder


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def twice_in_mlflow(home):
    columns = "status, lifecycle_stage, experiment_id"
    one = "(SELECT run_uuid FROM tags WHERE key = 'trial' AND value = '2')"
    sql(
        home,
        "mlflow.db",
        f"INSERT INTO runs (run_uuid, {columns}) SELECT 'x', {columns} FROM runs "
        f"WHERE run_uuid = {one}",
        f"INSERT INTO tags SELECT key, value, 'x' FROM tags WHERE run_uuid = {one}",
    )


FAULTS = {
    "a result is gone": (
        "lost", "trial 00002 has no result", lambda home: (trial(home, 2) / "result.json").unlink(),
    ),
    "a result is another": (
        "lost", "MLflow has", lambda home: change(trial(home, 2) / "result.json", value=0.1),
    ),
    "a trial was trained again": (
        "doubled", "was begun 2 times", lambda home: (trial(home, 2) / "attempt-2").mkdir(),
    ),
    "a run is missing": (
        "lost", "MLflow lacks trials [2]",
        lambda home: sql(home, "mlflow.db", "UPDATE runs SET lifecycle_stage = 'deleted' WHERE "
                         "run_uuid = (SELECT run_uuid FROM tags WHERE key = 'trial' "
                         "AND value = '2')"),
    ),
    "a run stands twice": ("doubled", "MLflow has trial 2 2 times", twice_in_mlflow),
    "a point is missing": (
        "lost", "of 3 epochs",
        lambda home: sql(home, "mlflow.db",
                         "DELETE FROM metrics WHERE key = 'val_rmse' AND step = 2"),
    ),
    "a run says RUNNING": (
        "other", "says RUNNING",
        lambda home: sql(home, "mlflow.db", "UPDATE runs SET status = 'RUNNING'"),
    ),
    "a trial of Optuna's is missing": (
        "lost", "Optuna lacks trials [2]",
        lambda home: sql(home, "optuna.db", "DELETE FROM trial_user_attributes "
                         "WHERE key = 'number' AND value_json = '2'"),
    ),
    "a trial of Optuna's is open": (
        "other", "says RUNNING",
        lambda home: sql(home, "optuna.db", "UPDATE trials SET state = 'RUNNING'"),
    ),
    "the search says it runs": (
        "other", "status.json says",
        lambda home: change(next(home.glob("ledger/*/*/status.json")), status="running"),
    ),
    "the winner is another": (
        "other", "the winner's mean",
        lambda home: change(next(home.glob("ledger/*/*/finalists/*/0.json")), value=0.4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_found(home, tmp_path, name):
    kind, words, spoil = FAULTS[name]
    assert not nothing_lost(home, tmp_path / "leases", trials=4)
    spoil(home)
    findings = nothing_lost(home, tmp_path / "leases", trials=4)
    assert any(words in finding for finding in getattr(findings, kind)), findings


def test_a_device_that_is_still_held_is_found(home, tmp_path):
    leases = Leases(tmp_path / "leases")
    lease = leases.try_acquire("cpu:0", "quick")
    findings = nothing_lost(home, tmp_path / "leases", trials=4)
    assert findings.other[0].startswith("device cpu:0 is held by quick")
    lease.release()
    leases.close()
    assert not nothing_lost(home, tmp_path / "leases", trials=4)


def test_too_few_trials_are_found(home, tmp_path):
    findings = nothing_lost(home, tmp_path / "leases", trials=5)
    assert findings.lost == ["4 of 5 trials have a result"]
