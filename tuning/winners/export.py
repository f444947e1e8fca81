"""`export_winner`: a folder that predicts wherever TensorFlow and NumPy are."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from tuning.errors import StudyError
from tuning.ledger.model_file import changed
from tuning.schema import SCHEMA, Json, JsonObject
from tuning.storage.durable import load_json, write_json
from tuning.winners.signature import Signature, signature_of
from tuning.winners.winner import Winner

SCRIPT = "predict.py"


def export_winner(winner: Winner, folder: Path) -> tuple[Path, ...]:
    """Write a winner into a folder, and return the files.

    model.keras      the model
    schema.json      what it takes and gives: columns, figures of their preparation, classes
    predict.py       reads both; needs TensorFlow and NumPy alone
    MLmodel          for mlflow.pyfunc.load_model, with the signature and an example beside
    README.md        the card

    Args:
        winner: From `load_winner`.
        folder: Is made; must be empty where it is there.

    Raises:
        StudyError: The folder holds something, or the model is not the one that was evaluated.
    """
    fault = changed(winner.record.evaluation, winner.path)
    if fault:
        raise StudyError(fault)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise StudyError(f"{folder} is not empty; give a folder that is empty or not there")

    features = winner.view.header.data.features
    signature = signature_of(winner.path, features)
    schema = predict_schema(
        winner.path,
        search=winner.search,
        features=features,
        outputs=[output.to_json() for output in winner.outputs],
        imports=winner.record.evaluation.imports,
    )

    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.keras"
    shutil.copyfile(winner.path, model)
    write_json(folder / "schema.json", schema)
    script = write_script(folder)
    about = folder / "MLmodel"
    write_json(about, _about(signature, folder))
    card = folder / "README.md"
    card.write_text(winner.card, encoding="utf-8")
    return (model, folder / "schema.json", script, about, card)


def write_script(folder: Path) -> Path:
    """Write predict.py; return its path."""
    script = folder / SCRIPT
    text = files("tuning.winners").joinpath("standalone.py").read_text(encoding="utf-8")
    script.write_text(text, encoding="utf-8")
    return script


def predict_schema(
    model: Path,
    *,
    search: str,
    features: Sequence[str],
    outputs: Sequence[Json],
    imports: Sequence[str],
) -> JsonObject:
    """Return what predict.py must know.

    Args:
        model: The `.keras` file, with its JSON files beside it.
        search: Its name.
        features: Names of the data set's columns.
        outputs: What the outputs mean, see `tuning.trials.verdict.answers.Output`.
        imports: Lines of Python that import the user's own classes.
    """
    beside = {
        name: load_json(model.with_suffix(f".{name}.json")) or {}
        for name in ("preprocessing", "inputs", "threshold")
    }
    return {
        "schema": SCHEMA,
        "search": search,
        "columns": beside["preprocessing"].get("columns"),
        "inputs": beside["inputs"].get("inputs"),
        "features": list(features),
        "outputs": list(outputs),
        "threshold": beside["threshold"].get("threshold"),
        "imports": list(imports),
    }


def _about(signature: Signature | None, folder: Path) -> JsonObject:
    """Return MLflow's file: YAML, of which JSON is a part. MLflow takes seconds to import."""
    flavor = {"loader_module": "predict", "code": ".", "data": "."}
    about: JsonObject = {"flavors": {"python_function": flavor}}
    if signature is not None:
        about["signature"] = signature.to_mlflow()
        example = signature.write_example(folder)
        if example:
            about["saved_input_example_info"] = example
    return about
