"""Where MLflow keeps things: the database and its creation, artifacts, the environment its
processes run in.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tuning.storage import sqlite_file as sqlitefile

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow repeats a POST whose answer was lost: one `create_run` was stored three times. We look
    # first, then repeat.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # it would write URLs with their passwords; our root handlers mask them
    "MLFLOW_CONFIGURE_LOGGING": "false",
}
"""Set in every process of ours that imports MLflow, before it does."""

_KIND = "custom_model_development"


def tracking_uri(home: Path, given: str | None = None) -> str:
    """Return where runs go: `given`, else `MLFLOW_TRACKING_URI`, else SQLite inside `home`."""
    return (
        given
        or os.environ.get("MLFLOW_TRACKING_URI")
        or f"sqlite:///{home.resolve() / 'mlflow.db'}"
    )


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite URI, or None for any other store."""
    name = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else ""
    return Path(name) if name and name != ":memory:" else None


def artifact_location(uri: str, home: Path, study: str) -> str | None:
    """Return the folder of a study's artifacts as a URI; None where a tracking server decides."""
    if uri.startswith(("http://", "https://", "databricks")):
        return None
    return "file://" + quote(str(home.resolve() / "artifacts" / study))


def experiment_of(client: Any, uri: str, home: Path, study: str) -> str:
    """Return the id of a study's experiment; it is made, or taken out of the bin, where it must be."""
    found = client.get_experiment_by_name(study)
    if found is None:
        location = artifact_location(uri, home, study)
        return str(client.create_experiment(study, location, {"mlflow.experimentKind": _KIND}))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def ensure_database(uri: str) -> Path | None:
    """Create a SQLite store where there is none or it is damaged; other stores are left alone.

    Takes 2-4 s where it has to be made.

    Returns:
        Where a damaged database was put, else None.
    """
    path = sqlite_path(uri)
    return None if path is None else sqlitefile.ensure(path, _create_tables)


def _create_tables(path: Path) -> None:
    import sqlalchemy
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    uri = f"sqlite:///{path}"
    store: Any = SqlAlchemyStore  # without annotations in MLflow
    store = store(uri, (path.parent / "artifacts").as_uri())
    # MLflow adds an experiment "Default" to an empty store. Deleted, it is neither shown nor made
    # again.
    store.delete_experiment(SqlAlchemyStore.DEFAULT_EXPERIMENT_ID)
    engine: sqlalchemy.engine.Engine = SqlAlchemyStore._engine_map.pop(
        uri
    )  # MLflow would keep it open for ever
    engine.dispose()
