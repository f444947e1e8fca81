"""A `.keras` file as an MLflow model, without importing TensorFlow.

`mlflow.keras.load_model` reads it back; `mlflow.pyfunc.load_model` takes rows as users have them
and gives answers, as `tuning export` does. What the model takes stands in JSON files beside it, as
in the search's folder, so that `inputs_of` and `classes_of` know it there too.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from tuning.ledger.winner import WinnerRecord
from tuning.storage.durable import load_json, write_json
from tuning.tracking.base import SearchRecord
from tuning.tracking.mlflow_tags import dataset_texts
from tuning.tracking.mlflow_text import texts
from tuning.tracking.servers.artifacts import is_unknown_call
from tuning.winners.export import predict_schema, write_script
from tuning.winners.signature import signature_of

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient

_METRICS = 800  # in a call, of the 1,000 that MLflow takes


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What MLflow shows of a winner's model besides its file.

    Attributes:
        search: Id of the search.
        features: Names of the data set's columns; empty where they have none.
        imports: Lines of Python that import the user's own classes.
        params: What it was trained with, as text.
        metrics: The winner's figures.
        at_ms: When it was chosen, in milliseconds since the epoch.
        data: Name and digest of the data set, as the search's run has them.
    """

    search: str
    features: Sequence[str] = ()
    imports: Sequence[str] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    at_ms: int = 0
    data: tuple[str | None, str | None] = (None, None)


def facts_of(
    search: SearchRecord, winner: WinnerRecord, figures: Mapping[str, float], at_ms: int
) -> ModelFacts:
    """Return what is shown of a winner's model; `figures` are on the search's run at `at_ms`."""
    dataset = search.dataset
    shown = {} if dataset is None else dataset_texts(dataset)
    return ModelFacts(
        search=search.id,
        features=() if dataset is None else dataset.features,
        imports=winner.evaluation.imports,
        params=texts(winner.params),
        metrics=figures,
        at_ms=at_ms,
        data=(shown.get("name"), shown.get("digest")),
    )


@dataclass(frozen=True)
class ModelFolder:
    """A folder in MLflow's layout, and the sha256 (hex) of what is the winner's in it."""

    path: Path
    digest: str


def model_folder(model: Path, folder: Path, run_id: str, facts: ModelFacts) -> ModelFolder:
    """Lay out `model` as `mlflow.keras.save_model` does, of MLflow 3.17.

    Args:
        model: A `.keras` file; of JSON files beside it those of its name are taken too: how inputs
            are prepared, what they are called, the threshold and its classes.
        folder: Gets MLmodel, requirements.txt, `data/model.keras` and `data/model.….json`; must not
            exist.
        run_id: The run it comes from.
        facts: Of the winner.
    """
    from mlflow.models import Model, ModelSignature

    data = folder / "data"
    data.mkdir(parents=True)
    shutil.copyfile(model, data / "model.keras")
    for file in files_beside(model):
        shutil.copyfile(file, data / f"model{file.name.removeprefix(model.stem)}")
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
    signature = signature_of(model, facts.features)
    # Of an earlier release's winner it is not known what its outputs mean.
    answers = signature is not None and _write_script(model, folder, facts)
    of_script = {"loader_module": "predict", "code": "code", "data": "data"}
    about.add_flavor(
        "python_function",
        python_version=platform.python_version(),
        # MLflow's own loader finds the folder `data` by itself.
        **(of_script if answers else {"loader_module": "mlflow.keras"}),
    )
    if signature is not None and answers:
        about.signature = ModelSignature.from_dict(signature.to_mlflow())
        example = signature.write_example(folder)
        if example:
            about.saved_input_example_info = example
    about.model_size_bytes = model.stat().st_size
    about.save(str(folder / "MLmodel"))
    return ModelFolder(folder, model_digest(model))


def model_digest(model: Path) -> str:
    """Return the sha256 (hex) of a `.keras` file and of the JSON files that it is read with."""
    sha = hashlib.sha256(model.read_bytes())
    for file in files_beside(model):
        # A model that was shown without them is not the same one.
        sha.update(file.name.removeprefix(model.stem).encode() + file.read_bytes())
    return sha.hexdigest()


def _write_script(model: Path, folder: Path, facts: ModelFacts) -> bool:
    """Write what answers for rows as users have them; return whether the outputs are known."""
    outputs = load_json(model.with_suffix(".outputs.json"))
    if not outputs:
        return False
    schema = predict_schema(
        model,
        search=facts.search,
        features=facts.features,
        outputs=outputs["outputs"],
        imports=facts.imports,
    )
    write_json(folder / "data" / "schema.json", schema)
    code = folder / "code"
    code.mkdir()
    write_script(code)
    return True


def show_model(
    client: MlflowClient, experiment_id: str, run_id: str, model: Path, facts: ModelFacts
) -> None:
    """Show a run's `.keras` file as an MLflow model, unless this very file is shown already.

    To a server of MLflow 2, which knows no models by themselves, the file goes as an artifact.
    """
    try:
        _log_model(client, experiment_id, run_id, model, facts)
    except Exception as error:  # whatever the connection raises
        if not is_unknown_call(error):
            raise
        client.log_artifact(run_id, str(model))


def _log_model(
    client: MlflowClient, experiment_id: str, run_id: str, model: Path, facts: ModelFacts
) -> None:
    from mlflow.entities import LoggedModelOutput

    with tempfile.TemporaryDirectory() as temporary:
        folder = model_folder(model, Path(temporary) / "model", run_id, facts)
        if shown_model(client, experiment_id, run_id, folder.digest) is not None:
            return

        logged = client.create_logged_model(
            experiment_id,
            name="winner",
            source_run_id=run_id,
            tags={"sha256": folder.digest},
            params=dict(facts.params),
            model_type="keras",
        )
        client.log_model_artifacts(logged.model_id, str(folder.path))

    _link_metrics(client, run_id, logged.model_id, facts)
    # Only a model that is READY counts, so one that a kill left half sent is sent again.
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])


def _link_metrics(client: MlflowClient, run_id: str, model_id: str, facts: ModelFacts) -> None:
    """Show the winner's figures at its model, with the data set that they are of."""
    from mlflow.entities import Metric

    name, digest = facts.data
    about = {"model_id": model_id, "dataset_name": name, "dataset_digest": digest}
    metrics = [
        Metric(key, value, facts.at_ms, 0, run_id=run_id, **about)
        for key, value in facts.metrics.items()
    ]
    # The run has them already, and then keeps them once.
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS], synchronous=True)


def shown_model(
    client: MlflowClient, experiment_id: str, run_id: str, digest: str
) -> LoggedModel | None:
    """Return the whole model of a run that has a digest; None where MLflow has none."""
    models = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    whole = (
        model
        for model in models
        if model.tags.get("sha256") == digest and str(model.status) == "READY"
    )
    return next(whole, None)


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
