"""A `.keras` file as an MLflow model, without importing TensorFlow.

`mlflow.keras.load_model` reads it back. What the model takes stands in JSON files beside it, as in
the search's folder, so that `inputs_of` and `classes_of` know it there too.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from tuning.tracking.servers.artifacts import is_unknown_call

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class ModelFolder:
    """A folder in MLflow's layout, and the sha256 (hex) of what is the winner's in it."""

    path: Path
    digest: str


def model_folder(model: Path, folder: Path, run_id: str) -> ModelFolder:
    """Lay out `model` as `mlflow.keras.save_model` does, of MLflow 3.17.

    Args:
        model: A `.keras` file; of JSON files beside it those of its name are taken too: how inputs
            are prepared, what they are called, the threshold and its classes.
        folder: Gets MLmodel, requirements.txt, `data/model.keras` and `data/model.….json`; must not
            exist.
        run_id: The run it comes from.
    """
    from mlflow.models import Model

    data = folder / "data"
    data.mkdir(parents=True)
    shutil.copyfile(model, data / "model.keras")
    sha = hashlib.sha256(model.read_bytes())
    for file in files_beside(model):
        name = file.name.removeprefix(model.stem)
        shutil.copyfile(file, data / f"model{name}")
        # A model that was shown without them is not the same one.
        sha.update(name.encode() + file.read_bytes())
    (data / "keras_module.txt").write_text("keras")

    keras_version = _keras_version(model)
    libraries = _installed("tensorflow-cpu", "tensorflow", "numpy")
    requirements = [f"keras=={keras_version}", *libraries]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n")

    about = Model(run_id=run_id)
    about.add_flavor(
        "keras",
        data="data",
        keras_version=keras_version,
        keras_backend="tensorflow",
        save_exported_model=False,
    )
    about.add_flavor(
        "python_function",
        loader_module="mlflow.keras",
        data="data",
        python_version=platform.python_version(),
    )
    about.model_size_bytes = model.stat().st_size
    about.save(str(folder / "MLmodel"))
    return ModelFolder(folder, sha.hexdigest())


def show_model(
    client: MlflowClient, experiment_id: str, run_id: str, model: Path, params: Mapping[str, str]
) -> None:
    """Show a run's `.keras` file as an MLflow model, unless this very file is shown already.

    To a server of MLflow 2, which knows no models by themselves, the file goes as an artifact.
    """
    try:
        _log_model(client, experiment_id, run_id, model, params)
    except Exception as error:  # whatever the connection raises
        if not is_unknown_call(error):
            raise
        client.log_artifact(run_id, str(model))


def _log_model(
    client: MlflowClient, experiment_id: str, run_id: str, model: Path, params: Mapping[str, str]
) -> None:
    from mlflow.entities import LoggedModelOutput

    with tempfile.TemporaryDirectory() as temporary:
        folder = model_folder(model, Path(temporary) / "model", run_id)
        if _has_model(client, experiment_id, run_id, folder.digest):
            return

        logged = client.create_logged_model(
            experiment_id,
            name="winner",
            source_run_id=run_id,
            tags={"sha256": folder.digest},
            params=dict(params),
            model_type="keras",
        )
        client.log_model_artifacts(logged.model_id, str(folder.path))

    # Only a model that is READY counts, so one that a kill left half sent is sent again.
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])


def _has_model(client: MlflowClient, experiment_id: str, run_id: str, digest: str) -> bool:
    models = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    return any(
        model.tags.get("sha256") == digest and str(model.status) == "READY" for model in models
    )


def files_beside(model: Path) -> list[Path]:
    """Return the JSON files that a saved model is read with, `<its name>.….json`, sorted."""
    return sorted(model.parent.glob(f"{model.stem}.*.json"))


def _keras_version(model: Path) -> str:
    """Return the version of Keras that wrote a `.keras` file."""
    with zipfile.ZipFile(model) as archive:
        return str(json.loads(archive.read("metadata.json"))["keras_version"])


def _installed(*names: str) -> list[str]:
    """Return a requirement for each of these distributions that is installed."""
    requirements = []
    for name in names:
        try:
            requirements.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return requirements
