"""MLflow's tables: making them, their columns and revisions, bringing old ones up to date.

Checked with MLflow 3.17.2; `tests/tracking/test_schema_internals.py` fails where MLflow drops what
is used:

    SqlAlchemyStore._engine_map                           its open connections, by URI
    mlflow.store.db.utils._get_alembic_config, _upgrade_db
    mlflow.store.db.base_sql_model.Base                   the tables
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning.storage.sqlite_schema import Schema

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine


def create_tables(path: Path) -> None:
    """Make MLflow's tables in a SQLite file, without its experiment "Default"."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    uri = f"sqlite:///{path}"
    make_store: Any = SqlAlchemyStore  # without annotations in MLflow
    store = make_store(uri, (path.parent / "artifacts").as_uri())
    # MLflow adds "Default" to an empty store. Deleted, it is neither shown nor made again.
    store.delete_experiment(SqlAlchemyStore.DEFAULT_EXPERIMENT_ID)
    # MLflow would keep the connection open for ever, and the file is about to be renamed.
    engine: Engine = SqlAlchemyStore._engine_map.pop(uri)
    engine.dispose()


def _columns() -> Mapping[str, Sequence[str]]:
    from mlflow.store.db.base_sql_model import Base

    tables = Base.metadata.tables
    return {name: [column.name for column in table.columns] for name, table in tables.items()}


@cache
def _revisions() -> Sequence[str]:
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    config_of: Any = utils._get_alembic_config
    scripts = ScriptDirectory.from_config(config_of(db_url=""))
    return [script.revision for script in scripts.walk_revisions()]


def _upgrade(path: Path) -> None:
    from mlflow.store.db import utils
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{path}")
    upgrade: Any = utils._upgrade_db
    upgrade(engine)
    engine.dispose()


MLFLOW_SCHEMA = Schema(columns=_columns, revisions=_revisions, upgrade=_upgrade)
