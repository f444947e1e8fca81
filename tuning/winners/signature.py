"""A winner's signature and input example in MLflow's forms, made without MLflow.

From `winner.example.json`, see `tuning.trials.verdict.example`; a winner of an earlier release has
none. What MLflow does with them is its own rule: named columns of numbers are `double`, which take
floats of any size and whole numbers of 32 bits at most; arrays must have the very type.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tuning.schema import Json, JsonObject
from tuning.storage.checked import load_checked
from tuning.storage.durable import write_json

_EXAMPLE = "input_example.json"
_SERVING = "serving_input_example.json"


@dataclass(frozen=True)
class Field:
    """One input or output.

    Attributes:
        name: "": it is the only one.
        type: NumPy's name of it, or "text".
        shape: Of a row.
        rows: An example of some rows, None for what is empty or not finite; None: none was kept.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    rows: list[Any] | None = None

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Return a field as it was kept."""
        shape = tuple(int(size) for size in stored["shape"])
        return cls(str(stored["name"]), str(stored["type"]), shape, stored.get("rows"))


@dataclass(frozen=True)
class Signature:
    """What a winner takes and gives.

    Attributes:
        inputs: Columns of a table, arrays by name, or one array.
        outputs: In the model's order.
        table: Whether `inputs` are columns.
    """

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    table: bool

    def to_mlflow(self) -> dict[str, str]:
        """Return what stands under `signature` in a file MLmodel."""
        of_input = _column if self.table else _tensor
        params = [{"name": "proba", "type": "boolean", "default": False, "shape": None}]
        return {
            "inputs": json.dumps([of_input(field) for field in self.inputs]),
            "outputs": json.dumps([_tensor(field) for field in self.outputs]),
            "params": json.dumps(params),
        }

    def write_example(self, folder: Path) -> JsonObject:
        """Write the example rows as MLflow does.

        Args:
            folder: That of the file MLmodel.

        Returns:
            What stands there under `saved_input_example_info`; empty where no rows were kept.
        """
        if any(field.rows is None for field in self.inputs):
            return {}
        rows: Any
        if self.table:
            columns = [field.rows or [] for field in self.inputs]
            rows = {
                "columns": [field.name for field in self.inputs],
                "data": [list(row) for row in zip(*columns, strict=True)],
            }
            served = {"dataframe_split": rows}
            form = {"type": "dataframe", "pandas_orient": "split"}
        else:
            rows = {field.name: field.rows for field in self.inputs}
            rows = rows.get("", rows)
            served = {"inputs": rows}
            form = {"type": "ndarray"}
        write_json(folder / _EXAMPLE, rows)
        write_json(folder / _SERVING, served)
        return {"artifact_path": _EXAMPLE, "serving_input_path": _SERVING, **form}


def signature_of(model: Path, features: Sequence[str]) -> Signature | None:
    """Return what a saved winner takes and gives; None where it was not kept.

    Args:
        model: The `.keras` file.
        features: Names of the data set's columns; empty where they have none.

    Raises:
        DamagedFileError: What was kept cannot be read.
    """
    signature = load_checked(model.with_suffix(".example.json"), _from_json)
    if signature is None or signature.table or not features:
        return signature
    (field, *others) = signature.inputs
    if others or field.name or field.shape != (len(features),):
        return signature
    return Signature(tuple(_split(field, features)), signature.outputs, table=True)


def _from_json(stored: Json) -> Signature:
    return Signature(
        inputs=tuple(map(Field.from_json, stored["inputs"])),
        outputs=tuple(map(Field.from_json, stored["outputs"])),
        table=bool(stored["table"]),
    )


def _split(field: Field, features: Sequence[str]) -> Iterator[Field]:
    """Yield the columns of one array."""
    for place, name in enumerate(features):
        rows = None if field.rows is None else [row[place] for row in field.rows]
        yield Field(name, field.type, (), rows)


def _column(field: Field) -> JsonObject:
    if field.type == "text":
        kind = "string"
    elif field.type == "bool":
        kind = "boolean"
    elif field.type.startswith("float"):
        kind = "double"
    else:
        kind = "long"
    return {"type": kind, "name": field.name, "required": True}


def _tensor(field: Field) -> JsonObject:
    kind = "object" if field.type == "text" else field.type
    spec = {"dtype": kind, "shape": [-1, *field.shape]}
    tensor: JsonObject = {"type": "tensor", "tensor-spec": spec}
    return {**tensor, "name": field.name} if field.name else tensor
