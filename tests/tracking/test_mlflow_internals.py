"""Each name that MLflow does not promise to keep: fails in words where one is gone."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

from tuning.tracking import mlflow_internals


def test_mlflow_shows_a_tables_tag_under_this_name():
    from mlflow.utils import mlflow_tags

    assert mlflow_tags.MLFLOW_LOGGED_ARTIFACTS == mlflow_internals.LOGGED_ARTIFACTS


def test_mlflows_own_table_tag_looks_like_ours():
    from mlflow.tracking import MlflowClient

    source = inspect.getsource(MlflowClient.log_table)
    assert "MLFLOW_LOGGED_ARTIFACTS" in source
    assert mlflow_internals.table_tag("folds.json") == '[{"path": "folds.json", "type": "table"}]'


def test_mlflows_server_reads_these_variables():
    from mlflow import environment_variables
    from mlflow.server import constants

    assert set(mlflow_internals.server_environment("sqlite:///a.db", "file:///a")) == {
        constants.BACKEND_STORE_URI_ENV_VAR,
        constants.REGISTRY_STORE_URI_ENV_VAR,
        constants.ARTIFACT_ROOT_ENV_VAR,
        constants.SERVE_ARTIFACTS_ENV_VAR,
        environment_variables._MLFLOW_SGI_NAME.name,
    }


def test_mlflows_server_is_an_asgi_application():
    spec = importlib.util.find_spec("mlflow.server.fastapi_app")
    assert spec is not None
    assert "\napp = " in Path(spec.origin).read_text(encoding="utf-8")
