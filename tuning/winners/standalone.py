"""Predict with the model in this folder: TensorFlow and NumPy are all that it needs.

    python predict.py rows.csv > out.csv        a table with a head, its columns in any order
    python predict.py rows.npy > out.csv        one array
    python predict.py rows.npz > out.csv        several inputs by their names

From Python: `from predict import predict`, with a path, an array or a dictionary.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
ROWS_AT_ONCE = 1024
EMPTY = {"", "NA", "NaN", "nan", "None", "null"}


def predict(rows: Any, proba: bool = False, folder: Path = FOLDER) -> dict[str, np.ndarray]:
    """Return the answers by output name ("" where there is one), or probabilities.

    Args:
        rows: The path of a .csv, .npy or .npz file; of a table a dictionary of its columns; else an
            array, or a dictionary of arrays by input name.
        proba: Whether probabilities are wanted.
        folder: Where model.keras and schema.json lie.
    """
    about = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    inputs = inputs_of(read(rows), about)
    predicted = run(load(about, folder), inputs)
    return {
        output["name"]: answer(array, output, about["threshold"], proba)
        for output, array in zip(about["outputs"], predicted, strict=True)
    }


def read(rows: Any) -> Any:
    """Return what a file holds: columns of texts, an array, or several by name."""
    if not isinstance(rows, str | os.PathLike):
        return rows
    path = str(rows)
    if path.endswith((".npy", ".npz")):
        loaded = np.load(path, allow_pickle=False)
        return dict(loaded) if path.endswith(".npz") else loaded
    with open(path, newline="", encoding="utf-8-sig") as file:
        head, *lines = csv.reader(file)
    wrong = [number for number, line in enumerate(lines, 2) if len(line) != len(head)]
    if wrong:
        raise SystemExit(f"{path}: line {wrong[0]} has not the {len(head)} cells of the head")
    return {name: [line[place] for line in lines] for place, name in enumerate(head)}


def inputs_of(rows: Any, about: dict[str, Any]) -> Any:
    """Return rows as the model takes them."""
    if about["columns"]:
        return table(rows, about["columns"])
    if about["inputs"]:
        return several(rows, about["inputs"])
    if isinstance(rows, dict):
        check_names(rows, about["features"])
        names = about["features"] or list(rows)
        return np.column_stack([numbers(rows[name], name) for name in names])
    return np.asarray(rows)


def table(rows: Any, columns: list[dict[str, Any]]) -> np.ndarray:
    """Fill empty cells, standardise numbers, encode categories one-hot."""
    unread = [column["name"] for column in columns if "reading" in column]
    if unread:
        raise SystemExit(
            f"the columns {', '.join(unread)} hold dates or numbers in words, which take "
            "tuning.load_winner"
        )
    check_names(rows, [column["name"] for column in columns])
    made = []
    for column in columns:
        cells = rows[column["name"]]
        if "categories" in column:
            made.append(one_hot(cells, column))
            continue
        values = numbers(cells, column["name"])
        values = np.where(np.isnan(values), column["fill"], values)
        made.append(((values - column["mean"]) / column["deviation"])[:, None])
    return np.concatenate(made, axis=1).astype(np.float32)


def one_hot(cells: Any, column: dict[str, Any]) -> np.ndarray:
    """Return `(rows, categories)`; categories that training had not become zeros."""
    known = {text: number for number, text in enumerate(column["categories"])}
    places = [int(column["fill"]) if is_empty(cell) else known.get(str(cell), -1) for cell in cells]
    every = np.arange(len(known))
    return np.asarray((np.array(places)[:, None] == every) & np.isin(every, column["seen"]))


def is_empty(cell: Any) -> bool:
    """Whether a cell says nothing."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip() in EMPTY)


def numbers(cells: Any, name: str) -> np.ndarray:
    """Return float64, NaN for empty cells."""
    try:
        return np.array([np.nan if is_empty(cell) else float(cell) for cell in cells])
    except (TypeError, ValueError) as error:
        raise SystemExit(f"column '{name}' holds numbers; {error}") from error


def check_names(rows: Any, names: list[str]) -> None:
    """Refuse rows that lack a column."""
    if not isinstance(rows, dict):
        raise SystemExit(f"give a table with the columns {', '.join(names)}")
    missing = [name for name in names if name not in rows]
    if missing:
        raise SystemExit(f"the rows lack the columns {', '.join(missing)}")


def several(rows: Any, inputs: list[dict[str, Any]]) -> Any:
    """Return inputs by name; a list where their names are places; texts as Keras takes them."""
    names = [item["name"] for item in inputs]
    if names == [""]:
        if isinstance(rows, dict) and len(rows) == 1:
            rows = next(iter(rows.values()))
        return np.asarray(rows, dtype=object)
    check_names(rows, names)
    taken = {}
    for item in inputs:
        values = rows[item["name"]]
        array = np.asarray(values, dtype=object) if item["text"] else np.asarray(values)
        taken[item["name"]] = array.reshape(len(array), *item["shape"]) if item["shape"] else array
    in_places = sorted(names) == sorted(str(place) for place in range(len(names)))
    return list(taken.values()) if in_places else taken


def load(about: dict[str, Any], folder: Path) -> Any:
    """Return the model, with the classes of its author's own that it is made of."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    objects: dict[str, Any] = {}
    for line in about["imports"]:
        home, names = line.removeprefix("from ").split(" import ")
        module = importlib.import_module(home)
        objects |= {name: getattr(module, name) for name in names.split(", ")}
    return keras.saving.load_model(folder / "model.keras", compile=False, custom_objects=objects)


def run(model: Any, inputs: Any) -> list[np.ndarray]:
    """Return each output's array, in the model's order."""
    import keras
    import tensorflow as tf

    types = {tensor.dtype for tensor in getattr(model, "inputs", None) or ()}
    # Large numbers, such as dates in seconds, are centred by the model in float64.
    floats = np.float64 if "float64" in types else np.float32

    def tensor(array: np.ndarray) -> Any:
        return tf.convert_to_tensor(array.astype(floats) if array.dtype.kind == "f" else array)

    n_rows = len(keras.tree.flatten(inputs)[0])
    parts = []
    for start in range(0, max(n_rows, 1), ROWS_AT_ONCE):
        part = keras.tree.map_structure(
            lambda array, start=start: tensor(array[start : start + ROWS_AT_ONCE]), inputs
        )
        outputs = keras.tree.flatten(model(part, training=False))
        parts.append([np.asarray(output) for output in outputs])
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def answer(
    array: np.ndarray, output: dict[str, Any], threshold: float | None, proba: bool
) -> np.ndarray:
    """Return numbers, names of classes, 0 and 1 for labels; or probabilities."""
    task = output["task"]
    if task == "regression":
        if proba:
            raise SystemExit("the model predicts numbers, which have no probabilities")
        return without_last(array)
    chances = linked(array, output["link"])
    if task == "binary" and not (output["two_units"] and chances.shape[-1] == 2):
        chances = without_last(chances)
        chances = np.stack([1 - chances, chances], axis=-1)
    if proba:
        return chances
    if task == "multilabel":
        return above(chances, threshold).astype(int)
    if task == "binary":
        places = above(chances[..., 1], threshold).astype(int)
    else:
        places = chances.argmax(axis=-1)
    return np.asarray(output["classes"])[places] if output["classes"] else places


def linked(array: np.ndarray, link: str) -> np.ndarray:
    """Return probabilities of what a model gives."""
    if link == "sigmoid":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * array)))
    if link == "softmax":
        powers = np.exp(array - array.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
    return array


def above(chances: np.ndarray, threshold: float | None) -> np.ndarray:
    """Whether a probability says yes."""
    return np.asarray(chances > 0.5 if threshold is None else chances >= threshold)


def without_last(array: np.ndarray) -> np.ndarray:
    """Drop a last axis of 1."""
    return array[..., 0] if array.ndim > 1 and array.shape[-1] == 1 else array


class ForMlflow:
    """What `mlflow.pyfunc.load_model` of this folder returns, inside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def predict(self, rows: Any, params: dict[str, Any] | None = None) -> Any:
        """Return the answers for a DataFrame, an array or a dictionary of arrays."""
        if hasattr(rows, "columns"):
            rows = {str(name): rows[name].to_numpy() for name in rows.columns}
        proba = bool((params or {}).get("proba", False))
        answers = predict(rows, proba, self.folder)
        return answers[""] if list(answers) == [""] else answers


def _load_pyfunc(folder: str) -> ForMlflow:
    """Be the loader that the file MLmodel names."""
    return ForMlflow(Path(folder))


def main(arguments: list[str]) -> None:
    """Print the answers for the rows of a file as CSV."""
    paths = [word for word in arguments if word != "--proba"]
    if len(paths) != 1:
        raise SystemExit("usage: python predict.py ROWS [--proba]")
    proba = "--proba" in arguments
    columns: dict[str, np.ndarray] = {}
    for name, array in predict(paths[0], proba).items():
        called = ("probability" if proba else "prediction") + (f"_{name}" if name else "")
        if array.ndim == 1:
            columns[called] = array
        else:
            flat = array.reshape(len(array), -1)
            columns |= {f"{called}_{place}": flat[:, place] for place in range(flat.shape[1])}
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))


if __name__ == "__main__":
    main(sys.argv[1:])
