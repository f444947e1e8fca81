"""Where MLflow keeps things: the database and its creation, artifacts, and its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tuning.storage import sqlite_file
from tuning.tracking.mlflow_schema_internals import MLFLOW_SCHEMA, create_tables
from tuning.tracking.store_drivers import with_driver

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # MLflow repeats a POST whose answer was lost: one `create_run` was stored three times. We look
    # whether the run is there, then repeat.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # It would print a link to each run, with the password in it.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # It would write URLs with their passwords. Our root handlers mask them.
    "MLFLOW_CONFIGURE_LOGGING": "false",
}
"""Set in every process of ours that imports MLflow, before it does."""

_KIND = {"mlflow.experimentKind": "custom_model_development"}


@dataclass(frozen=True, kw_only=True)
class MLflowPlace:
    """Where something is in MLflow.

    Attributes:
        tracking_uri: Without a password.
        run_id: "" for a whole experiment.
    """

    tracking_uri: str
    experiment_id: str
    run_id: str = ""

    def to_json(self) -> dict[str, str]:
        """Return what is known, as plain JSON types."""
        stored = {"tracking_uri": self.tracking_uri, "experiment_id": self.experiment_id}
        if self.run_id:
            stored["run_id"] = self.run_id
        return stored


def import_mlflow() -> None:
    """Import what a process that writes needs of MLflow, while nobody waits for it: 1-2 s."""
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking  # noqa: F401


def tracking_uri(home: Path) -> str:
    """Return where runs go: `MLFLOW_TRACKING_URI`, else SQLite inside `home`."""
    given = with_driver(os.environ.get("MLFLOW_TRACKING_URI", ""))
    return given or f"sqlite:///{home.resolve() / 'mlflow.db'}"


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite URI, or None for any other store."""
    if not uri.startswith("sqlite:///"):
        return None
    name = uri.removeprefix("sqlite:///")
    return Path(name) if name and name != ":memory:" else None


def artifact_location(uri: str, home: Path, study: str) -> str | None:
    """Return the folder of a study's artifacts as a URI; None where a tracking server decides."""
    if uri.startswith(("http://", "https://", "databricks")):
        return None
    return "file://" + quote(str(home.resolve() / "artifacts" / study))


def experiment_of(client: MlflowClient, uri: str, home: Path, study: str) -> str:
    """Return the id of a study's experiment; made, or taken out of the bin, where it must be."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        try:
            return client.create_experiment(study, artifact_location(uri, home, study), _KIND)
        except MlflowException as error:
            # Another search of the study was faster, here or elsewhere; or an answer was lost.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(study)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def ensure_database(uri: str) -> Path | None:
    """Create a SQLite store where there is none or it is damaged; other stores are left alone.

    One of an earlier MLflow is brought up to date: a copy of it, which then takes its place.

    Takes 2-4 s where it has to be made.

    Returns:
        Where a damaged database was put, else None.
    """
    path = sqlite_path(uri)
    if path is None:
        return None
    return sqlite_file.ensure(path, create_tables, MLFLOW_SCHEMA)
