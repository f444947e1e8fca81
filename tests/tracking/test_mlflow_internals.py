"""Each name that MLflow and Optuna do not promise to keep: fails in words where one is gone."""

from __future__ import annotations

import inspect

from tuning.tracking import mlflow_internals, optuna_internals


def test_mlflow_keeps_its_open_connections_by_uri():
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    assert isinstance(SqlAlchemyStore._engine_map, dict), "mlflow_internals.create_tables needs it"


def test_mlflow_shows_a_tables_tag_under_this_name():
    from mlflow.utils import mlflow_tags

    assert mlflow_tags.MLFLOW_LOGGED_ARTIFACTS == mlflow_internals.LOGGED_ARTIFACTS


def test_mlflows_own_table_tag_looks_like_ours():
    from mlflow.tracking import MlflowClient

    source = inspect.getsource(MlflowClient.log_table)
    assert "MLFLOW_LOGGED_ARTIFACTS" in source
    assert mlflow_internals.table_tag("folds.json") == '[{"path": "folds.json", "type": "table"}]'


def test_the_tables_are_made_without_the_experiment_default(tmp_path):
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking import MlflowClient

    path = tmp_path / "mlflow.db"
    mlflow_internals.create_tables(path)
    assert f"sqlite:///{path}" not in SqlAlchemyStore._engine_map
    assert MlflowClient(f"sqlite:///{path}").search_experiments() == []


def test_optuna_keeps_a_trials_constraints_under_this_name():
    from optuna.study import _constrained_optimization

    assert _constrained_optimization._CONSTRAINTS_KEY == optuna_internals.CONSTRAINTS
