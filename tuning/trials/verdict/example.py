"""What a winner takes and gives, kept beside it: types, shapes and some rows as an example.

MLflow shows it as a model's signature and input example.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data.arrays import Array, Arrays, named
from tuning.data.faults import holds_text
from tuning.data.parts import Parts
from tuning.schema import SCHEMA, JsonObject
from tuning.storage.durable import write_json
from tuning.trainer.outputs import by_target
from tuning.trials.verdict.answers import Output, outputs_of

N_ROWS = 3
MOST_NUMBERS = 20_000
"""In one input's rows; of larger ones, such as photographs, only type and shape are kept."""


def keep_example(path: Path, parts: Parts, predicted: Arrays) -> None:
    """Write beside the model saved at `path` what it takes and gives; see `keep_outputs`, before.

    Nothing is written of rows that are made later, which cannot be looked into, and of tables with
    dates or numbers in words, whose cells are not kept.

    Args:
        path: The `.keras` file.
        parts: The data; the example is its first training rows.
        predicted: What the model gives for the test part.
    """
    beside = path.with_suffix(".example.json")
    beside.unlink(missing_ok=True)  # of another winner, saved here before
    if any(column.reading is not None for column in parts.columns):
        return
    arrays = dict(named(parts.train.X))
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        return

    if parts.columns:
        inputs = list(_cells(parts))
    else:
        inputs = [_input(name, array) for name, array in arrays.items()]
    outputs = list(_outputs(outputs_of(path), by_target(predicted, parts.test.y)))
    example = {"table": bool(parts.columns), "inputs": inputs, "outputs": outputs}
    write_json(beside, {"schema": SCHEMA, **example})


def _cells(parts: Parts) -> Iterator[JsonObject]:
    """Yield each column of a table, with its cells as users write them."""
    (_, X), *_ = named(parts.train.X)
    for place, column in enumerate(parts.columns):
        cells = [None if np.isnan(value) else float(value) for value in X[:N_ROWS, place]]
        if column.categories:
            rows: list[Any] = [
                None if cell is None else column.categories[int(cell)] for cell in cells
            ]
            yield {"name": column.name, "type": "text", "shape": [], "rows": rows}
        else:
            yield {"name": column.name, "type": "float64", "shape": [], "rows": cells}


def _input(name: str, array: Array) -> JsonObject:
    first = array[:N_ROWS]
    is_small = first.size <= MOST_NUMBERS
    return {
        "name": name,
        "type": "text" if holds_text(array) else array.dtype.name,
        "shape": list(array.shape[1:]),
        "rows": _plain(first) if is_small else None,
    }


def _plain(array: Array) -> Any:
    """Return an array as JSON takes it: None for what is not finite."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return plain.tolist()


def _outputs(outputs: tuple[Output, ...], predicted: Arrays) -> Iterator[JsonObject]:
    for output, (_, array) in zip(outputs, named(predicted), strict=True):
        answers = output.answers(np.asarray(array)[:N_ROWS])
        kind = "text" if answers.dtype.kind == "U" else answers.dtype.name
        yield {"name": output.name, "type": kind, "shape": list(answers.shape[1:])}
