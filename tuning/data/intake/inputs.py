"""Inputs as programs have them: several by name, ragged rows padded.

Whatever it does not know it leaves as it is, for `dataset_faults` to say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def in_order(arrays: Any) -> Any:
    """Return several arrays as a mapping; anything else as it is.

    Args:
        arrays: One array, a mapping, a DataFrame (an input of one column each), or a tuple or list
            of arrays in the model's order, which are named "0", "1", ….
    """
    if isinstance(arrays, Mapping):
        return {str(name): _one_column(array) for name, array in arrays.items()}
    if hasattr(arrays, "columns") and hasattr(arrays, "to_numpy"):
        return {str(name): _one_column(arrays[name]) for name in arrays.columns}
    if isinstance(arrays, list | tuple) and _are_several(arrays):
        return {str(i): array for i, array in enumerate(arrays)}
    return arrays


def _are_several(arrays: Sequence[Any]) -> bool:
    """Whether these are arrays of as many rows each, and not the rows of a ragged one."""
    if not arrays or not all(isinstance(array, np.ndarray) and array.ndim for array in arrays):
        return False
    return isinstance(arrays, tuple) or len({len(array) for array in arrays}) == 1


def _one_column(array: Any) -> Any:
    """Return a Series as an array; anything else as it is: lists may be ragged rows."""
    if hasattr(array, "to_numpy"):
        return array.to_numpy()
    return array


@dataclass(frozen=True)
class Padded:
    """Ragged rows as one array.

    Attributes:
        array: `(rows, longest, …)`, zeros behind the end of each row.
        notice: What was done, in one sentence.
    """

    array: Array
    notice: str


def padded(rows: Any, longest: int | None = None) -> Padded | None:
    """Return ragged rows padded with 0 at the end; None where they are not ragged.

    Args:
        rows: A list, or an array of dtype object, of lists or arrays `(steps, …)` of numbers.
        longest: Steps at which longer rows are cut; None: those of the longest row.
    """
    steps = _steps(rows)
    if steps is None:
        return None
    arrays = [np.asarray(row) for row in rows]
    if any(array.ndim == 0 or array.dtype.kind not in "biuf" for array in arrays):
        return None
    if len({array.shape[1:] for array in arrays if len(array)}) > 1:
        return None

    n_steps = max(steps) if longest is None else longest
    kept = next((array for array in arrays if len(array)), arrays[0])
    dtype = np.result_type(*{array.dtype for array in arrays if len(array)} or {kept.dtype})
    out = np.zeros((len(arrays), n_steps, *kept.shape[1:]), dtype)
    for row, array in zip(out, arrays, strict=True):
        part = array[:n_steps]
        row[: len(part)] = part

    notice = f"rows of {min(steps)} to {max(steps)} steps are padded with 0 at the end to {n_steps}"
    cut = sum(step > n_steps for step in steps)
    if cut:
        notice += f"; {cut} longer ones are cut there"
    return Padded(out, notice)


def _steps(rows: Any) -> list[int] | None:
    """Return the length of each row; None where they are no ragged rows."""
    is_list = isinstance(rows, list)
    is_objects = isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.dtype == object
    if not (is_list or is_objects) or not len(rows):
        return None
    if not all(isinstance(row, list | tuple | np.ndarray) for row in rows):
        return None
    if any(isinstance(row, np.ndarray) and row.ndim == 0 for row in rows):
        return None
    steps = [len(row) for row in rows]
    # A list of equal rows is a table that should come as an array.
    return None if is_list and len(set(steps)) == 1 else steps
