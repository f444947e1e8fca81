"""What is wrong with a data set, in words, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tuning.data.arrays import count_rows, leaves, named, only
from tuning.data.dataset import TASKS, Array, Dataset, Task, answer_axes, task_of
from tuning.data.lazy import LazyArray
from tuning.data.row_keys import key_faults
from tuning.errors import did_you_mean

PARTS = ("train", "validation", "test")
ROUNDING = 0.03
"""Of a target's standard deviation: what float32 may lose of it."""
LEAST_MEMBERS = 3
"""Members a class needs so that a stratified split leaves two for the second cut."""

_MOST_VALUES_LISTED = 5


def dataset_faults(dataset: Dataset) -> Iterator[str]:
    """Yield one sentence for each thing that would make training fail or mean nothing."""
    yield from _task_faults(dataset)
    yield from _inputs_array_faults(dataset)
    for name, y in named(dataset.y):
        yield from _array_faults(_label("y", name), y)

    yield from _weight_faults(dataset)

    X_has_shape = all(_has_shape(X) for X in leaves(dataset.X))
    y_has_shape = all(_has_shape(y) for y in leaves(dataset.y))
    if X_has_shape and y_has_shape:
        yield from _row_faults(dataset)

    if X_has_shape:
        yield from _input_faults(dataset)
        yield from _part_faults(dataset)
        yield from key_faults(count_rows(dataset.X), dataset.groups, dataset.time)
    for name, y in named(dataset.y):
        if _has_shape(y) and len(y) and _is_finite(y) and _has_task(dataset, name):
            yield from _target_faults(dataset, name, y)


def _weight_faults(dataset: Dataset) -> Iterator[str]:
    for name, weight in named({} if dataset.weight is None else dataset.weight):
        label = _label("weight", name)
        yield from _array_faults(label, weight)
        if _has_shape(weight) and _is_finite(weight):
            if weight.ndim != 1:
                yield from _answer_weight_faults(dataset, name, weight)
            if weight.size and (weight.min() < 0 or weight.max() == 0):
                yield f"{label} must not be below 0, and somewhere above: found {weight.min():g}"
    if isinstance(dataset.weight, Mapping):
        outputs = [name for name, _ in named(dataset.y)]
        unknown = [name for name in dataset.weight if name not in outputs]
        if unknown:
            yield f"weight names {', '.join(unknown)}, y has {', '.join(outputs)}"


def _answer_weight_faults(dataset: Dataset, output: str, weight: Array) -> Iterator[str]:
    """Yield which outputs have other answers a row than they are weighed by."""
    for name, y in named(dataset.y):
        if output not in ("", name) or not _has_shape(y):
            continue
        # Whether these are steps or units of one answer, the model tells: `check_builder` looks.
        if weight.shape[1:] != y.shape[1 : weight.ndim]:
            label = _label("weight", output)
            yield (
                f"{label} must be (rows,), or (rows, steps) with the first axes of "
                f"{_label('y', name)} of shape {y.shape}, got {weight.shape}"
            )


def _label(field: str, name: str) -> str:
    """Return what an array is called in a sentence: `X`, or `X['image']` of several."""
    return f"{field}['{name}']" if name else field


def _task_faults(dataset: Dataset) -> Iterator[str]:
    tasks = dataset.task if isinstance(dataset.task, Mapping) else {"": dataset.task}
    for name, task in tasks.items():
        if task not in TASKS:
            guess = did_you_mean(str(task), TASKS)
            label = _label("task", name)
            yield f"{label} '{task}' is unknown.{guess} There are: {', '.join(TASKS)}"

    if isinstance(dataset.task, Mapping):
        outputs = [name for name, _ in named(dataset.y)]
        if sorted(outputs) != sorted(dataset.task):
            listed = ", ".join(outputs) if outputs != [""] else "one array"
            tasks_named = ", ".join(dataset.task)
            yield f"task names {tasks_named}, y has {listed}; give a task for each output"


def _has_task(dataset: Dataset, output: str) -> bool:
    return not isinstance(dataset.task, Mapping) or output in dataset.task


def _inputs_array_faults(dataset: Dataset) -> Iterator[str]:
    for name, X in named(dataset.X):
        # Empty cells of a table are filled before training; an infinite value stays a fault.
        cells = _with_cells_filled(X) if dataset.columns and _has_shape(X) else X
        yield from _array_faults(_label("X", name), cells)


def _row_faults(dataset: Dataset) -> Iterator[str]:
    """Yield arrays that have not as many rows as the first."""
    n_rows = count_rows(dataset.X)
    if n_rows == 0 and count_rows(dataset.y) == 0:
        yield "there are no rows"

    for field in ("X", "y", "weight", "groups", "time"):
        arrays = getattr(dataset, field)
        for name, array in named({} if arrays is None else arrays):
            if hasattr(array, "__len__") and len(array) != n_rows:
                first = _label("X", next(iter(named(dataset.X)))[0])
                yield (
                    f"{first} has {n_rows} rows, {_label(field, name)} has {len(array)}; "
                    "they must be equal"
                )


def training_faults(dataset: Dataset, train: Array) -> Iterator[str]:
    """Yield one sentence for each class that no training row has.

    A model cannot learn such a class, and scikit-learn's estimators would renumber the others.

    Args:
        dataset: Without faults of its own.
        train: The training rows' numbers.
    """
    if dataset.task not in ("binary", "multiclass"):
        return

    y = only(dataset.y)
    absent = np.setdiff1d(y, y[train]).astype(int)
    for number in absent.tolist():
        name = class_name(dataset.classes, number)
        yield f"no training row is of class {name}; give 'train' rows of every class"


def cut_faults(dataset: Dataset, engine: str) -> Iterator[str]:
    """Yield what scikit-learn's search classes cannot cut, score or weigh.

    Args:
        dataset: Without faults of its own.
        engine: That hands the arrays to scikit-learn.
    """
    advice = "use an engine of Optuna's or KerasTuner's"
    for name, y in named(dataset.y):
        task = task_of(dataset.task, name)
        takes = ""
        if task in ("binary", "multiclass") and answer_axes(y, task):
            takes = "one class a row"
        elif y.ndim > 2:
            takes = "(rows, outputs)"
        if takes:
            yield (
                f"engine '{engine}': scikit-learn takes {takes}, {_label('y', name)} has "
                f"the shape {y.shape}; {advice}"
            )
    for name, weight in named({} if dataset.weight is None else dataset.weight):
        if weight.ndim > 1:
            yield (
                f"engine '{engine}': scikit-learn weighs whole rows, {_label('weight', name)} has "
                f"the shape {weight.shape}; {advice}"
            )


def class_name(classes: tuple[str, ...], number: int) -> str:
    """Return a class as the user calls it: quoted, or its number where it has no name."""
    return repr(classes[number]) if number < len(classes) else str(number)


def _array_faults(name: str, array: Array) -> Iterator[str]:
    if isinstance(array, LazyArray):
        yield from array.faults(name)
    elif not isinstance(array, np.ndarray):
        kind = type(array).__name__
        yield f"{name} must be a NumPy array, got {kind}; convert with numpy.asarray"
    elif array.ndim == 0:
        yield f"{name} is a single value, not an array of rows"
    elif name.startswith("X") and holds_text(array):
        return  # for a model that begins with a layer for text: `check_builder` looks
    elif array.dtype.kind not in "biuf":
        yield (
            f"{name} must hold numbers, got dtype {array.dtype}; "
            f"{_advice_on_other_values(name, array)}"
        )
    elif not _is_finite(array):
        bad = ~np.isfinite(array)
        bad_rows = np.flatnonzero(bad.reshape(len(array), -1).any(axis=1))
        yield (
            f"{name} has {int(bad.sum())} NaN or infinite values, the first in row {bad_rows[0]}; "
            "drop or fill them"
        )


def holds_text(array: Array) -> bool:
    """Whether an array holds texts alone."""
    if array.dtype.kind == "U":
        return True
    return array.dtype == object and all(isinstance(value, str) for value in array.flat)


def _advice_on_other_values(name: str, array: Array) -> str:
    if array.dtype != object:
        return "encode text and dates as numbers first"
    flat = list(array.flat)
    for position, value in enumerate(flat):
        if type(value) is not type(flat[0]):
            return (
                f"its first value is a {type(flat[0]).__name__}, value {position} "
                f"a {type(value).__name__}: give texts alone or numbers alone"
            )
    if name.startswith("X") and flat and isinstance(flat[0], list | tuple | np.ndarray):
        return "its rows differ in more than their length; give arrays of numbers, (steps, …)"
    return "encode text and dates as numbers first"


def _with_cells_filled(X: Array) -> Array:
    """Return X with 0 in its empty cells."""
    return np.where(np.isnan(X), 0.0, X) if X.dtype.kind == "f" else X


def _has_shape(array: Array) -> bool:
    return isinstance(array, np.ndarray | LazyArray) and array.ndim > 0


def _is_finite(array: Array) -> bool:
    return array.dtype.kind in "biuf" and bool(np.isfinite(array).all())


def _input_faults(dataset: Dataset) -> Iterator[str]:
    for name, X in named(dataset.X):
        label = _label("X", name)
        if X.ndim == 1 and not isinstance(dataset.X, Mapping) and not holds_text(X):
            yield (
                f"{label} must be (rows, features), got {X.shape}; "
                f"for one feature use {label}.reshape(-1, 1)"
            )
        elif 0 in X.shape[1:]:
            yield f"{label} has no features: its shape is {X.shape}"
    if not isinstance(dataset.X, Mapping):
        yield from _column_faults(dataset, dataset.X)


def _column_faults(dataset: Dataset, X: Array) -> Iterator[str]:
    n_columns = len(dataset.columns)
    if n_columns and X.shape[1:] != (n_columns,):
        yield f"there are {n_columns} columns described for X of shape {X.shape}"
    n_names = len(dataset.feature_names)
    if n_names and X.ndim == 2 and n_names != X.shape[1]:
        yield f"there are {n_names} feature_names for {X.shape[1]} columns of X"


def _part_faults(dataset: Dataset) -> Iterator[str]:
    n_rows = count_rows(dataset.X)
    times_named = np.zeros(n_rows, int)

    for name, numbers in dataset.parts.items():
        if name not in PARTS:
            guess = did_you_mean(name, PARTS)
            yield f"parts: '{name}' is unknown.{guess} There are: {', '.join(PARTS)}"
            continue
        rows = np.asarray(numbers)
        if rows.dtype.kind not in "iu" or rows.ndim != 1 or not len(rows):
            yield f"parts: '{name}' must be a list of row numbers, not empty, got {numbers!r}"
        elif rows.min() < 0:
            yield f"parts: '{name}' names row {rows.min()} of {n_rows}"
        elif rows.max() >= n_rows:
            yield f"parts: '{name}' names row {rows.max()} of {n_rows}"
        else:
            # `times_named[rows] += 1` would count a row once, however often it is named.
            np.add.at(times_named, rows, 1)

    shared = int((times_named > 1).sum())
    if shared:
        yield (
            f"parts: {shared} rows are named twice; training, validation and test rows must differ"
        )
    if dataset.parts and "train" not in dataset.parts:
        yield "parts: 'train' is missing; name the training rows too"
    elif "validation" in dataset.parts and "test" not in dataset.parts:
        yield (
            "parts: 'train' and 'validation' are fixed, 'test' is missing: test rows would be "
            "taken out of the training rows; name those of 'test' too, or leave 'validation' out"
        )


def _target_faults(dataset: Dataset, name: str, y: Array) -> Iterator[str]:
    """Yield what is wrong with the finite y, which has rows, of one output."""
    task = task_of(dataset.task, name)
    label = _label("y", name)
    if task == "multilabel" and y.ndim < 2:
        yield (
            f"a multilabel {label} must be (rows, outputs), got {y.shape}; "
            "for one answer a row use task='binary'"
        )
    elif task == "regression":
        yield from _regression_faults(label, y)
    elif task in ("binary", "multilabel"):
        others = [value for value in np.unique(y).tolist() if value not in (0, 1)]
        if others:
            yield f"a {task} {label} must hold 0 and 1 only, found {_listed(others)}"
        elif task == "binary":
            yield from _class_faults(dataset, task, y)
    elif task == "multiclass":
        yield from _class_number_faults(dataset, label, y)


def _regression_faults(label: str, y: Array) -> Iterator[str]:
    if len(y) <= 1:
        return

    outputs = y.reshape(len(y), -1).astype(float)
    # A column that never changes (a dark pixel) is learned at once, and does not hinder the others.
    varies = np.ptp(outputs, axis=0) != 0
    if not varies.any():
        yield f"{label} is constant: every row has the same target, there is nothing to learn"
        return

    outputs = outputs[:, varies]
    rounded_off = np.abs(outputs - outputs.astype(np.float32)).max(axis=0)
    if (rounded_off > ROUNDING * outputs.std(axis=0)).any():
        yield (
            f"{label} varies little around a large number, and float32, which Keras computes in, "
            f"rounds it off: centre {label}"
        )


def _class_number_faults(dataset: Dataset, label: str, y: Array) -> Iterator[str]:
    numbers = np.unique(y)
    n_classes = len(dataset.classes) or len(numbers)
    listed = _listed(numbers.tolist())

    if (numbers != np.round(numbers)).any():
        yield f"a multiclass {label} must hold class numbers, found {listed}; is this a regression?"
    elif numbers[0] < 0 or numbers[-1] >= n_classes:
        yield f"class numbers must run from 0 to {n_classes - 1} without a gap, found {listed}"
    else:
        yield from _class_faults(dataset, "multiclass", y)


def _class_faults(dataset: Dataset, task: Task, y: Array) -> Iterator[str]:
    numbers, counts = np.unique(y.astype(int), return_counts=True)
    if len(numbers) == 1:
        name = class_name(dataset.classes, int(numbers[0]))
        yield f"every row is of class {name}; there is nothing to learn"
    elif task == "multiclass":
        absent = set(range(len(dataset.classes))) - set(numbers.tolist())
        for number in sorted(absent):
            name = class_name(dataset.classes, number)
            yield f"no row is of class {name}; add rows, or renumber without it"

    # Where the data set names every part nothing is stratified, and any class is large enough; so
    # it is where each row has many answers.
    is_split_by_seed = not set(PARTS) <= set(dataset.parts) and not answer_axes(y, task)
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        if count < LEAST_MEMBERS and is_split_by_seed:
            members = "member" if count == 1 else "members"
            yield (
                f"class {class_name(dataset.classes, number)} has {count} {members}; "
                f"the split needs {LEAST_MEMBERS}: add rows or merge classes"
            )


def _listed(values: list[float]) -> str:
    listed = ", ".join(f"{value:g}" for value in values[:_MOST_VALUES_LISTED])
    return f"{listed}, …" if len(values) > _MOST_VALUES_LISTED else listed
