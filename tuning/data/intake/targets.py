"""y as programs have it: names of classes and one-hot rows as class numbers.

Whatever it does not know it leaves as it is, for `dataset_faults` to say what is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

CLASS_TASKS = ("binary", "multiclass")


@dataclass(frozen=True)
class Targets:
    """A y as the rooms want it.

    Attributes:
        y: Class numbers where it held names of classes or one-hot rows; else as it was.
        classes: Their names, where y held them or a class has no row.
        was_one_hot: Whether it held one-hot rows.
    """

    y: Any
    classes: tuple[str, ...]
    was_one_hot: bool = False


def targets(y: Any, task: str, classes: tuple[str, ...]) -> Targets:
    """Return the y of one output with class numbers, `(rows,)` or `(rows, steps)`.

    Args:
        y: Numbers, names of classes, one-hot rows; class numbers may be `(rows, 1)`.
        task: Anything but "binary" and "multiclass" is left as it is.
        classes: By number; empty: those that y has, sorted.
    """
    if task not in CLASS_TASKS or not isinstance(y, np.ndarray) or y.ndim == 0:
        return Targets(y, classes)
    if _is_text(y):
        y, classes = _numbered(y, classes)
        if _is_text(y):
            return Targets(y, classes)

    is_column = y.ndim == 2 and y.shape[1] == 1
    if is_column:
        return Targets(y[:, 0], classes)
    if is_one_hot(y, len(classes)) and (task == "multiclass" or y.shape[-1] == 2):
        numbers = y.argmax(axis=-1)
        has_empty = len(np.unique(numbers)) < y.shape[-1]
        if has_empty and not classes:  # so that the class is missed, and by its number
            classes = tuple(map(str, range(y.shape[-1])))
        return Targets(numbers, classes, was_one_hot=True)
    return Targets(y, classes)


def is_one_hot(y: Array, n_classes: int = 0) -> bool:
    """Whether rows hold one 1 among zeros; `n_classes`: as many columns, where it is above 0."""
    if y.ndim < 2 or y.shape[-1] <= 1 or y.dtype.kind not in "biuf" or not len(y):
        return False
    if n_classes and y.shape[-1] != n_classes:
        return False
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=-1) == 1).all())


def _is_text(y: Array) -> bool:
    if y.dtype.kind in "US":
        return True
    return y.dtype == object and all(isinstance(value, str) for value in y.flat)


def _numbered(y: Array, classes: tuple[str, ...]) -> tuple[Array, tuple[str, ...]]:
    """Return the number of each name; y as it is where one is unknown."""
    found = sorted({str(name) for name in np.unique(y.astype(str))})
    known = classes or tuple(found)
    if not set(found) <= set(known):
        return y, classes
    numbers = {name: number for number, name in enumerate(known)}
    flat = [numbers[str(name)] for name in y.astype(str).flat]
    return np.array(flat, np.int64).reshape(y.shape), known
