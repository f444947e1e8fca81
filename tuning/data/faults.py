"""What is wrong with a data set, in words, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuning.data.dataset import TASKS, Array, Dataset
from tuning.errors import did_you_mean

PARTS = ("train", "validation", "test")
ROUNDING = 0.03
"""Of a target's standard deviation: what float32 may lose of it."""
LEAST_MEMBERS = 3
"""Members a class needs so that a stratified split leaves two for the second cut."""


def dataset_faults(dataset: Dataset) -> Iterator[str]:
    """Yield one sentence for each thing that would make training on `dataset` fail or mean nothing."""
    X, y = dataset.X, dataset.y
    if dataset.task not in TASKS:
        yield f"task '{dataset.task}' is unknown.{did_you_mean(str(dataset.task), TASKS)} There are: {', '.join(TASKS)}"
    yield from _array_faults("X", _filled(X) if dataset.columns and _has_shape(X) else X)
    yield from _array_faults("y", y)
    if _has_shape(X) and _has_shape(y):
        if len(X) != len(y):
            yield f"X has {len(X)} rows, y has {len(y)}; they must be equal"
        elif len(X) == 0:
            yield "there are no rows"
    if _has_shape(X):
        yield from _input_faults(dataset)
        yield from _part_faults(dataset)
    if _has_shape(y) and len(y) and _is_finite(y):
        yield from _target_faults(dataset)


def _array_faults(name: str, array: Array) -> Iterator[str]:
    if not isinstance(array, np.ndarray):
        yield f"{name} must be a NumPy array, got {type(array).__name__}; convert with numpy.asarray"
    elif array.ndim == 0:
        yield f"{name} is a single value, not an array of rows"
    elif array.dtype.kind not in "biuf":
        yield f"{name} must hold numbers, got dtype {array.dtype}; encode text and dates as numbers first"
    elif not _is_finite(array):
        bad = ~np.isfinite(array)
        row = np.flatnonzero(bad.reshape(len(array), -1).any(axis=1))[0]
        yield f"{name} has {int(bad.sum())} NaN or infinite values, the first in row {row}; drop or fill them"


def _filled(X: Array) -> Array:
    """Empty cells of a table are no fault."""
    return np.where(np.isnan(X), 0.0, X) if X.dtype.kind == "f" else X


def _has_shape(array: Array) -> bool:
    return isinstance(array, np.ndarray) and array.ndim > 0


def _is_finite(array: Array) -> bool:
    return array.dtype.kind in "biuf" and bool(np.isfinite(array).all())


def _input_faults(dataset: Dataset) -> Iterator[str]:
    if dataset.X.ndim == 1:
        yield f"X must be (rows, features), got {dataset.X.shape}; for one feature use X.reshape(-1, 1)"
    elif 0 in dataset.X.shape[1:]:
        yield f"X has no features: its shape is {dataset.X.shape}"
    if dataset.columns and (len(dataset.columns),) != dataset.X.shape[1:]:
        yield f"there are {len(dataset.columns)} columns described for X of shape {dataset.X.shape}"
    named = len(dataset.feature_names)
    if named and dataset.X.ndim == 2 and named != dataset.X.shape[1]:
        yield f"there are {named} feature_names for {dataset.X.shape[1]} columns of X"


def _target_faults(dataset: Dataset) -> Iterator[str]:
    y = dataset.y
    shapes = {"regression": (1, 2), "binary": (1,), "multiclass": (1,), "multilabel": (2,)}
    fits = shapes.get(dataset.task, (y.ndim,))
    if y.ndim not in fits:
        wanted = " or ".join(("(rows,)", "(rows, outputs)")[n - 1] for n in fits)
        numbers = (
            "; of one-hot rows take the class numbers: y.argmax(axis=1)" if _is_one_hot(y) else ""
        )
        yield f"a {dataset.task} y must be {wanted}, got {y.shape}{numbers}"
    elif dataset.task == "regression":
        columns = y.reshape(len(y), -1).astype(float)
        lost = np.abs(columns - columns.astype(np.float32)).max(axis=0)
        if len(y) > 1 and (np.ptp(columns, axis=0) == 0).any():
            yield "y is constant: every row has the same target, there is nothing to learn"
        elif len(y) > 1 and (lost > ROUNDING * columns.std(axis=0)).any():
            yield "y varies little around a large number, and float32, which Keras computes in, rounds it off: centre y"
    elif dataset.task in ("binary", "multilabel"):
        if found := [v for v in np.unique(y).tolist() if v not in (0, 1)]:
            yield f"a {dataset.task} y must hold 0 and 1 only, found {_some(found)}"
        elif dataset.task == "binary":
            yield from _class_faults(dataset)
    elif dataset.task == "multiclass":
        yield from _number_faults(dataset)


def _is_one_hot(y: Array) -> bool:
    return (
        y.ndim == 2
        and y.shape[1] > 1
        and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())
    )


def _number_faults(dataset: Dataset) -> Iterator[str]:
    found = np.unique(dataset.y)
    known = len(dataset.classes) or len(found)
    if (found != np.round(found)).any():
        yield f"a multiclass y must hold class numbers, found {_some(found.tolist())}; is this a regression?"
    elif found[0] < 0 or found[-1] >= known:
        yield f"class numbers must run from 0 to {known - 1} without a gap, found {_some(found.tolist())}"
    else:
        yield from _class_faults(dataset)


def training_faults(dataset: Dataset, train: Array) -> Iterator[str]:
    """Yield one sentence for each class that no training row has: a model cannot learn it, and
    estimators renumber.
    """
    if dataset.task in ("binary", "multiclass"):
        for number in np.setdiff1d(dataset.y, dataset.y[train]).astype(int).tolist():
            named = class_name(dataset.classes, number)
            yield f"no training row is of class {named}; give 'train' rows of every class"


def _class_faults(dataset: Dataset) -> Iterator[str]:
    numbers, counts = np.unique(dataset.y.astype(int), return_counts=True)
    if len(numbers) == 1:
        yield f"every row is of class {class_name(dataset.classes, int(numbers[0]))}; there is nothing to learn"
    elif dataset.task == "multiclass":
        for number in sorted(set(range(len(dataset.classes))) - set(numbers.tolist())):
            yield f"no row is of class {class_name(dataset.classes, number)}; add rows, or renumber without it"
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        if count < LEAST_MEMBERS and not set(PARTS) <= set(dataset.parts):
            yield (
                f"class {class_name(dataset.classes, number)} has {count} member{'s' * (count > 1)}; "
                f"the split needs {LEAST_MEMBERS}: add rows or merge classes"
            )


def _part_faults(dataset: Dataset) -> Iterator[str]:
    rows = len(dataset.X)
    seen = np.zeros(rows, int)
    for name, numbers in dataset.parts.items():
        if name not in PARTS:
            yield f"parts: '{name}' is unknown.{did_you_mean(name, PARTS)} There are: {', '.join(PARTS)}"
            continue
        array = np.asarray(numbers)
        if array.dtype.kind not in "iu" or array.ndim != 1 or not len(array):
            yield f"parts: '{name}' must be a list of row numbers, not empty, got {numbers!r}"
        elif array.min() < 0 or array.max() >= rows:
            yield f"parts: '{name}' names row {array.min() if array.min() < 0 else array.max()} of {rows}"
        else:
            np.add.at(seen, array, 1)
    if shared := int((seen > 1).sum()):
        yield f"parts: {shared} rows are named twice; training, validation and test rows must differ"
    if dataset.parts and "train" not in dataset.parts:
        yield "parts: 'train' is missing; name the training rows too"


def class_name(classes: tuple[str, ...], number: int) -> str:
    """Return a class as the user calls it: quoted, or its number where it has no name."""
    return repr(classes[number]) if number < len(classes) else str(number)


def _some(values: list[float]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:5])
    return f"{shown}, …" if len(values) > 5 else shown
