"""What a saved winner takes where that is more than one array of numbers: several inputs, texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data.arrays import Array, Arrays, named
from tuning.data.faults import holds_text
from tuning.data.intake.inputs import in_order, padded
from tuning.errors import StudyError
from tuning.schema import SCHEMA, Json
from tuning.storage.checked import load_checked
from tuning.storage.durable import write_json


def keep(path: Path, X: Arrays | None) -> None:
    """Write beside the model saved at `path` what it takes; nothing for one array of numbers.

    Args:
        path: The `.keras` file.
        X: Rows that it was trained on, as the data set has them; None: nothing is to be kept.
    """
    beside = _beside(path)
    beside.unlink(missing_ok=True)  # of another winner, saved here before
    if X is None:
        return
    inputs = [
        {"name": name, "shape": list(array.shape[1:]), "text": _is_text(array)}
        for name, array in named(X)
    ]
    if isinstance(X, Mapping) or inputs[0]["text"]:
        write_json(beside, {"schema": SCHEMA, "inputs": inputs})


def _inputs_of(stored: Json) -> list[Json]:
    """Return the inputs that `keep` wrote, checked."""
    inputs = list(stored["inputs"])
    for item in inputs:
        if not isinstance(item["name"], str) or not isinstance(item["text"], bool):
            raise TypeError(f"{item!r:.60} is no input")
        _ = [range(size) for size in item["shape"] if size is not None]
    return inputs


def _is_text(array: Any) -> bool:
    # Rows that are made later have no texts, and no array to look into.
    return isinstance(array, np.ndarray) and holds_text(array)


def as_taken(path: Path, rows: Any) -> Any:
    """Return rows as the model saved at `path` takes them.

    Args:
        path: The `.keras` file.
        rows: See `tuning.trials.saved_model.inputs_of`.

    Raises:
        StudyError: An input is missing, or its shape is another one; all faults at once.
        DamagedFileError: What the model takes stands beside it, and cannot be read.
    """
    inputs = load_checked(_beside(path), _inputs_of)
    if inputs is None:
        return _array(rows)
    names = [item["name"] for item in inputs]
    arrays = {"": rows} if names == [""] else _by_name(rows, names)

    missing = [name for name in names if name not in arrays]
    if missing:
        given = ", ".join(map(str, arrays)) or "no name"
        raise StudyError(
            f"the model takes the inputs {', '.join(names)}; {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing, received: {given}"
        )
    taken = {item["name"]: _one(arrays[item["name"]], item) for item in inputs}
    faults = [*_shape_faults(taken, inputs), *_count_faults(taken)]
    if faults:
        raise StudyError(faults)

    if names == [""]:
        return taken[""]
    # Without names of their own they are given in the model's order, which takes a list.
    return list(taken.values()) if _are_places(names) else taken


def _by_name(rows: Any, names: list[str]) -> Mapping[str, Any]:
    """Return several inputs by their names.

    Raises:
        StudyError: They come without names, or are not several.
    """
    if hasattr(rows, "columns"):
        # A name over several columns, as a DataFrame has it in levels, gives all of them.
        return {str(name): rows[name] for name in dict.fromkeys(_top(rows.columns))}
    if isinstance(rows, Mapping):
        return {str(name): array for name, array in rows.items()}
    several = in_order(rows)
    if isinstance(several, Mapping) or isinstance(rows, tuple):
        arrays = list(several.values()) if isinstance(several, Mapping) else list(rows)
        if len(arrays) == len(names):
            return dict(zip(names, arrays, strict=True))
        raise StudyError(
            f"the model takes {len(names)} inputs ({', '.join(names)}), received {len(arrays)}"
        )
    raise StudyError(
        f"the model takes {len(names)} inputs ({', '.join(names)}), received one "
        f"{type(rows).__name__}; give a mapping by these names, or a tuple in this order"
    )


def _top(columns: Any) -> list[Any]:
    return [column[0] if isinstance(column, tuple) else column for column in columns]


def _are_places(names: list[str]) -> bool:
    return set(names) == {str(place) for place in range(len(names))}


def _array(rows: Any) -> Array:
    """Return what becomes an array as one; ragged rows padded."""
    padded_rows = padded(rows)
    return np.asarray(rows) if padded_rows is None else padded_rows.array


def _one(rows: Any, item: Json) -> Array:
    """Return one input's rows as an array of the shape that was trained on, if they have as many.

    A column alone, `(rows,)`, and a column in a table, `(rows, 1)`, are the same.
    """
    array = _array(rows)
    if item["text"]:
        array = array.astype(object)
    shape = tuple(item["shape"])
    is_column = array.shape[1:] in ((), (1,)) and shape in ((), (1,))
    return array.reshape(len(array), *shape) if is_column else array


def _shape_faults(taken: Mapping[str, Array], inputs: list[Json]) -> Iterator[str]:
    for item in inputs:
        array = taken[item["name"]]
        shape = tuple(item["shape"])
        label = f"input '{item['name']}'" if item["name"] else "the input"
        # Ragged rows may be of any length: what counts is behind their steps.
        if array.ndim != len(shape) + 1 or array.shape[2:] != shape[1:]:
            yield f"{label} has rows of shape {array.shape[1:]}, the model was trained on {shape}"
        elif item["text"] and not holds_text(array):
            other = next(value for value in array.flat if not isinstance(value, str))
            yield f"{label} holds texts, received {other!r}"
        elif not item["text"] and array.dtype.kind not in "biuf":
            yield f"{label} holds numbers, received {array.dtype}"


def _count_faults(taken: Mapping[str, Array]) -> Iterator[str]:
    counts = {name: len(array) for name, array in taken.items()}
    if len(set(counts.values())) > 1:
        words = ", ".join(f"{name} {count}" for name, count in counts.items())
        yield f"inputs must have as many rows each, received: {words}"


def _beside(path: Path) -> Path:
    return path.with_suffix(".inputs.json")
