"""What we use of MLflow that it does not promise to keep, all in one place.

Checked with MLflow 3.17.2; `tests/tracking/test_mlflow_internals.py` names each and fails where
MLflow drops one.

    SqlAlchemyStore._engine_map      its open database connections, by URI
    mlflow.loggedArtifacts           the tag by which the page shows an artifact as a table
    mlflow.sharedViewState.NAME      the tag of a view, see `mlflow_view`
    the layout of a saved model      see `mlflow_model`
    mlflow.server.fastapi_app        its server as an ASGI application, and the variables it reads
                                     when it is imported
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

CHECKED_WITH = "3.17.2"
LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"
VIEW_STATE = "mlflow.sharedViewState"

SHUT_ROUTES = ("/ajax-api/3.0/jobs", "/ajax-api/3.0/mlflow/assistant", "/gateway")
"""Routes that start work on this machine or speak to models elsewhere; runs need none of them."""


def table_tag(file: str) -> str:
    """Return the value of `LOGGED_ARTIFACTS` that shows `file` as a table."""
    return json.dumps([{"path": file, "type": "table"}])


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


def server_environment(uri: str, artifact_root: str) -> dict[str, str]:
    """Return what MLflow's server reads of its command line, which hands it on in this way."""
    return {
        "_MLFLOW_SERVER_FILE_STORE": uri,
        "_MLFLOW_SERVER_REGISTRY_STORE": uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": artifact_root,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "false",
        "_MLFLOW_SGI_NAME": "uvicorn",
    }


def server_application() -> Any:
    """Return MLflow's server (ASGI); the environment must be set before."""
    from mlflow.server.fastapi_app import app

    return app
