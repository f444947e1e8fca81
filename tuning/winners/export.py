"""`export_winner`: a folder that predicts wherever TensorFlow and NumPy are."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from tuning.errors import StudyError
from tuning.ledger.model_file import changed
from tuning.schema import SCHEMA, JsonObject
from tuning.storage.durable import load_json, write_json
from tuning.winners.winner import Winner

# Written by hand: MLflow takes seconds to import, and is not needed for six lines.
_MLMODEL = """\
flavors:
  python_function:
    loader_module: predict
    code: .
    data: .
"""


def export_winner(winner: Winner, folder: Path) -> tuple[Path, ...]:
    """Write a winner into a folder, and return the files.

    model.keras      the model
    schema.json      what it takes and gives: columns, figures of their preparation, classes
    predict.py       reads both; needs TensorFlow and NumPy alone
    MLmodel          for mlflow.pyfunc.load_model
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

    schema = _schema(winner)
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.keras"
    shutil.copyfile(winner.path, model)
    write_json(folder / "schema.json", schema)
    script = folder / "predict.py"
    text = files("tuning.winners").joinpath("standalone.py").read_text(encoding="utf-8")
    script.write_text(text, encoding="utf-8")
    about = folder / "MLmodel"
    about.write_text(_MLMODEL, encoding="utf-8")
    card = folder / "README.md"
    card.write_text(winner.card, encoding="utf-8")
    return (model, folder / "schema.json", script, about, card)


def _schema(winner: Winner) -> JsonObject:
    """Return what `predict.py` must know."""
    beside = {
        name: load_json(winner.path.with_suffix(f".{name}.json")) or {}
        for name in ("preprocessing", "inputs", "threshold")
    }
    return {
        "schema": SCHEMA,
        "search": winner.search,
        "columns": beside["preprocessing"].get("columns"),
        "inputs": beside["inputs"].get("inputs"),
        "features": list(winner.view.header.data.features),
        "outputs": [output.to_json() for output in winner.outputs],
        "threshold": beside["threshold"].get("threshold"),
        "imports": list(winner.record.evaluation.imports),
    }
