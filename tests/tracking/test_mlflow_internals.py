"""Each name that MLflow does not promise to keep: fails in words where one is gone."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

from tuning.tracking import mlflow_internals


def test_mlflow_shows_a_tables_tag_under_this_name():
    from mlflow.utils import mlflow_tags

    assert mlflow_tags.MLFLOW_LOGGED_ARTIFACTS == mlflow_internals.LOGGED_ARTIFACTS


def test_mlflow_shows_a_models_versions_by_this_tag():
    from mlflow.utils import mlflow_tags

    assert mlflow_tags.MLFLOW_MODEL_VERSIONS == mlflow_internals.MODEL_VERSIONS


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


def _source(name: str) -> str:
    spec = importlib.util.find_spec("mlflow.server")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / name).read_text(encoding="utf-8")


def test_mlflows_login_reads_these_variables_and_settings():
    variables = set(mlflow_internals.login_environment(Path("/a")))
    variables |= {
        mlflow_internals.ADMIN_NAME,
        mlflow_internals.ADMIN_PASSWORD,
        mlflow_internals.FLASK_KEY,
    }
    known = (Path(inspect.getfile(_environment_variables())).read_text(encoding="utf-8")).split('"')
    assert variables <= set(known)
    config = _source("auth/config.py")
    for line in mlflow_internals.login_settings(Path("/a.db")).splitlines()[1:]:
        assert f'"{line.split(" = ")[0]}"' in config


def _environment_variables():
    from mlflow import environment_variables

    return environment_variables


def test_mlflows_login_has_these_names():
    source = _source("auth/__init__.py")
    for text in (
        "\nstore = SqlAlchemyStore()",
        "\ndef _authenticate_cached(username: str, password: str)",
        "\ndef create_app(",
        "\ndef authenticate_request_basic_auth(",
        "CSRFProtect",
    ):
        assert text in source
    models = _source("auth/db/models.py")
    for text in ('__tablename__ = "users"', "username = ", "is_admin = "):
        assert text in models


def test_mlflow_answers_the_open_routes_itself():
    source = _source("server_info_api.py")
    for route in mlflow_internals.OPEN_ROUTES:
        assert f'@server_info_router.get("{route}")' in source


def test_mlflows_page_keeps_these_choices_in_the_browser():
    package = Path(importlib.util.find_spec("mlflow").origin).parent
    folder = package / "server/js/build/static/js"
    pages = [path.read_text(encoding="utf-8") for path in folder.glob("*.js")]
    keys = [key.removesuffix("_v1") for key in mlflow_internals.PAGE_CHOICES]
    for text in [*keys, "MLflowLocalStorage", "ReactComponentState", "expandRows", "workflowType"]:
        assert any(text in page for page in pages), text
