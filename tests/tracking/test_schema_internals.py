"""Damaged, foreign and old tables of both stores."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from tuning.storage import sqlite_schema
from tuning.tracking.mlflow_schema_internals import MLFLOW_SCHEMA
from tuning.tracking.mlflow_schema_internals import create_tables as create_mlflow
from tuning.tracking.mlflow_store import ensure_database
from tuning.tracking.optuna_internals import OPTUNA_SCHEMA
from tuning.tracking.optuna_internals import create_tables as create_optuna
from tuning.tracking.optuna_storage import ensure_storage

STORES = {
    "mlflow": (MLFLOW_SCHEMA, create_mlflow, ensure_database, "latest_metrics", "end_time", "runs"),
    "optuna": (OPTUNA_SCHEMA, create_optuna, ensure_storage, "trial_params", "state", "trials"),
}


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blank")
    for name, (_, create, *_rest) in STORES.items():
        create(folder / f"{name}.db")
    return folder


@pytest.fixture(params=STORES)
def store(request, blank, tmp_path):
    shutil.copyfile(blank / f"{request.param}.db", tmp_path / "a.db")
    return tmp_path / "a.db", *STORES[request.param]


def change(path, statement):
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()


def test_fresh_tables_are_without_a_fault_and_not_old(store):
    path, schema, *_ = store
    assert sqlite_schema.fault(path, schema) == ""
    assert not sqlite_schema.is_old(path, schema)
    assert len(schema.revisions()) > 5


def test_what_is_wrong_with_the_tables_is_named(store):
    path, schema, _, _, table, column, other = store
    faults = {
        f"ALTER TABLE {other} RENAME COLUMN {column} TO b": (
            f"its table {other!r} has no column {column!r}"
        ),
        f"DROP TABLE {table}": f"it has no table {table!r}",
        "UPDATE alembic_version SET version_num = 'beef'": (
            "its tables are of the revision 'beef', which is not known here"
        ),
        "DELETE FROM alembic_version": "its tables are of the revision '', which is not known here",
    }
    for statement, words in faults.items():
        before = path.read_bytes()
        change(path, statement)
        assert sqlite_schema.fault(path, schema) == words
        path.write_bytes(before)


@pytest.mark.parametrize(
    "statement", ["DROP TABLE trial_params", "UPDATE alembic_version SET version_num = 'beef'"]
)
def test_a_dropped_table_or_a_foreign_revision_is_set_aside_and_made_anew(
    blank, tmp_path, statement
):
    path = tmp_path / "optuna.db"
    shutil.copyfile(blank / "optuna.db", path)
    change(path, statement)
    assert ensure_storage(f"sqlite:///{path}") == tmp_path / "optuna.db.corrupt"
    assert sqlite_schema.fault(path, OPTUNA_SCHEMA) == ""
    assert ensure_storage(f"sqlite:///{path}") is None


@pytest.mark.slow  # MLflow takes seconds for its tables
def test_a_dropped_table_of_mlflows_is_mended_while_its_search_is_written(blank, tmp_path):
    path = tmp_path / "mlflow.db"
    shutil.copyfile(blank / "mlflow.db", path)
    change(path, "DROP TABLE latest_metrics")
    assert ensure_database(f"sqlite:///{path}") == tmp_path / "mlflow.db.corrupt"
    assert sqlite_schema.fault(path, MLFLOW_SCHEMA) == ""


@pytest.mark.slow  # 60 revisions
def test_tables_of_an_earlier_mlflow_are_brought_up_to_date_in_a_copy(tmp_path):
    from alembic import command
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    path = tmp_path / "mlflow.db"
    old_revision = MLFLOW_SCHEMA.revisions()[3]
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    config = utils._get_alembic_config(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, old_revision)
    engine.dispose()
    change(path, "INSERT INTO experiments (experiment_id, name) VALUES (7, 'of before')")

    with closing(sqlite3.connect(path)) as reader:
        names = "SELECT name FROM experiments"
        assert reader.execute(names).fetchall() == [("of before",)]
        assert ensure_database(f"sqlite:///{path}") is None
        assert reader.execute(names).fetchall() == [("of before",)]
    assert not sqlite_schema.is_old(path, MLFLOW_SCHEMA)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute(names).fetchall() == [("of before",)]
    kept = tmp_path / f"mlflow.db.before-upgrade-{old_revision}"
    with closing(sqlite3.connect(kept)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == (old_revision,)


def test_mlflow_keeps_its_open_connections_by_uri_and_default_is_not_made(tmp_path):
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking import MlflowClient

    path = tmp_path / "mlflow.db"
    create_mlflow(path)
    assert isinstance(SqlAlchemyStore._engine_map, dict)
    assert f"sqlite:///{path}" not in SqlAlchemyStore._engine_map
    assert MlflowClient(f"sqlite:///{path}").search_experiments() == []
