"""What we use of MLflow that it does not promise to keep, all in one place.

Checked with MLflow 3.17.2; `tests/tracking/test_mlflow_internals.py` names each and fails where
MLflow drops one.

    mlflow.loggedArtifacts           the tag by which the page shows an artifact as a table
    mlflow.sharedViewState.NAME      the tag of a view, see `mlflow_view`
    the layout of a saved model      see `mlflow_model`
    mlflow.server.fastapi_app        its server as an ASGI application, and the variables it reads
                                     when it is imported
"""

from __future__ import annotations

import json
from typing import Any

CHECKED_WITH = "3.17.2"
LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"
VIEW_STATE = "mlflow.sharedViewState"

SHUT_ROUTES = ("/ajax-api/3.0/jobs", "/ajax-api/3.0/mlflow/assistant", "/gateway")
"""Routes that start work on this machine or speak to models elsewhere; runs need none of them."""


def table_tag(file: str) -> str:
    """Return the value of `LOGGED_ARTIFACTS` that shows `file` as a table."""
    return json.dumps([{"path": file, "type": "table"}])


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
