"""A `.keras` file as an MLflow model, without importing TensorFlow.

`mlflow.keras.load_model` reads it back. What the model takes stands in JSON files beside it, as in
the search's folder, so that `inputs_of` and `classes_of` know it there too.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


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
