"""What we use of MLflow that it does not promise to keep, all in one place.

Checked with MLflow 3.17.2; `tests/tracking/test_mlflow_internals.py` names each and fails where
MLflow drops one.

    mlflow.loggedArtifacts           the tag by which the page shows an artifact as a table
    mlflow.modelVersions             the tag by which a model's page shows its registered versions
    mlflow.sharedViewState.NAME      the tag of a view, see `mlflow_view`
    mlflow.workflowType and others   what its page keeps in the browser; see `tests/browser`
    the layout of a saved model      see `mlflow_model`
    mlflow.server.fastapi_app        its server as an ASGI application, and the variables it reads
                                     when it is imported
    mlflow.server.auth               its login: the variables it reads when it is imported, `store`,
                                     `_authenticate_cached`, and the table `users` of its database
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

CHECKED_WITH = "3.17.2"
LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"
MODEL_VERSIONS = "mlflow.modelVersions"
VIEW_STATE = "mlflow.sharedViewState"

PAGE_CHOICES = {
    "mlflow.workflowType_v1": '"machine_learning"',
    # Its assistant takes a third of the page, and speaks to a model elsewhere.
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.settings.telemetry.enabled_v1": "false",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",
}
"""What the page keeps in the browser, by key: training first, no assistant, nothing told."""

WORKFLOW = "workflowType=machine_learning"
"""In an address. Without it the page opens on its views of language models."""

SHUT_ROUTES = ("/ajax-api/3.0/jobs", "/ajax-api/3.0/mlflow/assistant", "/gateway")
"""Routes that start work on this machine or speak to models elsewhere; runs need none of them."""

OPEN_ROUTES = ("/health", "/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")
"""What is answered without a login: that the server is up, and what it can do."""

ADMIN_PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"
ADMIN_NAME = "MLFLOW_AUTH_ADMIN_USERNAME"
FLASK_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"


def table_choices(experiment: str, view: str) -> dict[str, str]:
    """Return what the page keeps in the browser of an experiment's table.

    Args:
        experiment: Its id.
        view: The value of a tag `VIEW_STATE`.
    """
    store = "MLflowLocalStorage-1.1"
    return {
        f'{store}-ExperimentPage-["{experiment}"]-ReactComponentState': view,
        f"{store}-ExperimentView-{experiment}-expandRows": "true",
    }


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


def login_environment(config: Path) -> dict[str, str]:
    """Return what MLflow's login reads besides the names above, when it is imported and later."""
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        # What no rule speaks of is refused, and GraphQL has rules.
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_SERVER_ENABLE_GRAPHQL_AUTH": "true",
        "MLFLOW_ENABLE_WORKSPACES": "false",
        # Set elsewhere, these would skip the check of the admin's password, or stand for it.
        "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "false",
        "_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN": "",
    }


def login_settings(database: Path) -> str:
    """Return the text of the file that `login_environment` names."""
    return (
        "[mlflow]\n"
        "default_permission = READ\n"
        f"database_uri = sqlite:///{database}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        # A page asks for dozens of things; each check of a password takes 50 ms.
        "auth_cache_ttl_seconds = 60\n"
    )


def login_application() -> Any:
    """Return MLflow's server with its login (ASGI); the environment must be set before."""
    from mlflow.server.auth import create_app

    return create_app()


def login_knows(name: str, password: str) -> bool:
    """Whether this is a user's password; `login_application` must have been called."""
    from mlflow.server.auth import _authenticate_cached

    return _authenticate_cached(name, password) is not None


def set_login_password(name: str, password: str) -> None:
    """Give a user another password; `login_application` must have been called."""
    from mlflow.server.auth import store

    store.update_user(name, password=password, is_admin=True)


def has_login(database: Path, name: str) -> bool:
    """Whether a user is in the login's database; read without MLflow, whose import takes seconds.

    Raises:
        sqlite3.DatabaseError: It is damaged.
    """
    if not database.exists() or database.stat().st_size == 0:
        return False
    with closing(sqlite3.connect(database, timeout=5)) as open_database:
        tables = open_database.execute("SELECT 1 FROM sqlite_master WHERE name = 'users'")
        if tables.fetchone() is None:
            return False
        query = "SELECT 1 FROM users WHERE username = ? AND is_admin"
        return open_database.execute(query, (name,)).fetchone() is not None
