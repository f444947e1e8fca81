"""`Dataset`: a table as a study names it, before it is split or scaled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from tuning.data.arrays import Array as Array  # the other rooms find it here
from tuning.data.arrays import Arrays, each, leaves, named
from tuning.data.lazy import LazyArray

Task: TypeAlias = Literal["regression", "binary", "multiclass", "multilabel"]
Shapes: TypeAlias = tuple[int, ...] | Mapping[str, tuple[int, ...]]
"""One sample's shape without the batch axis, or one for each input or output."""

Tasks: TypeAlias = Task | Mapping[str, Task]
"""One task, or one for each output."""
TASKS: tuple[Task, ...] = ("regression", "binary", "multiclass", "multilabel")


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How cells of a table that are no numbers become the numbers of one input.

    Attributes:
        source: The table's column, where the input has another name; "": the input's own.
        decimal, thousands, unit: Of numbers written as texts: ",", "." and "€" in `1.234,56 €`.
        empty: The words that stand for an empty cell.
        part: Which part of a date, e.g. "weekday"; "": the cells are numbers.
        date_format: As `strptime` writes it, or "ISO8601"; "" where the cells are dates already.
        since: The day that "days" counts from, ISO 8601.
    """

    source: str = ""
    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    empty: tuple[str, ...] = ()
    part: str = ""
    date_format: str = ""
    since: str = ""


@dataclass(frozen=True)
class Column:
    """One column of a user's table, and how `Dataset.X` holds it.

    Attributes:
        name: As the table has it; of a part of a date with the part's name.
        categories: The texts of a categorical column, sorted: X holds their numbers. Empty: X holds
            the numbers themselves. NaN is an empty cell in both.
        reading: How the cells become numbers; None: they are numbers, or the texts are categories.
            No part of `repr`, and so of a data set's digest: X holds what was read.
    """

    name: str
    categories: tuple[str, ...] = ()
    reading: Reading | None = field(default=None, repr=False)

    @property
    def source(self) -> str:
        """The table's column that it is read from."""
        return (self.reading.source if self.reading else "") or self.name

    @property
    def width(self) -> int:
        """Inputs it becomes: one a category, or one."""
        return len(self.categories) or 1


@dataclass(frozen=True, eq=False)
class Dataset:
    """All rows of one table.

    Attributes:
        name: Short name, for display and MLflow.
        X: `(rows, *input_shape)`, numeric; with `columns` float64 `(rows, columns)`.
        y: Regression: `(rows,)` or `(rows, outputs)` float. Binary and multiclass: `(rows,)` class
            numbers from 0. Multilabel: `(rows, labels)` of 0 / 1.
        task: Which of the four it is; it fixes metrics, baselines and stratified splits.
        classes: Names of the classes, by number; empty for regression.
        feature_names: One a column, or empty.
        scale: Standardise each feature with the training part's mean and standard deviation.
        unit: What one unit of y is, e.g. `"100,000 USD"`.
        source: Where it comes from, for the reader.
        parts: Row numbers of "train", "validation", "test" where the data set fixes them; else
            empty, split by seed.
        columns: What X's columns mean where some are categorical or have empty cells: they are
            imputed, scaled and one-hot encoded, fitted on the training part alone. Empty: X is
            numeric and complete.
        notices: What the reader of the table should know, such as columns that were left out.
        weight: `(rows,)`, what each row counts in loss and metrics. None: 1.
        groups: `(rows,)`, numbers or texts: rows of one group stay on one side of every split.
        time: `(rows,)`, numbers or datetime64: a split by time trains on no later row. Of rows that
            last, as windows of a series do, `(rows, 2)`: the first and the last moment of each.
    """

    name: str
    X: Arrays
    y: Arrays
    task: Tasks
    classes: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    scale: bool | Literal["auto"] = "auto"
    unit: str = ""
    source: str = ""
    parts: Mapping[str, Array] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    notices: tuple[str, ...] = ()
    weight: Arrays | None = None
    groups: Array | None = None
    time: Array | None = None

    def __post_init__(self) -> None:
        for name in ("X", "y", "weight"):
            object.__setattr__(self, name, _in_order(getattr(self, name)))
        object.__setattr__(self, "groups", _plain_texts(self.groups))

    @property
    def input_shape(self) -> Shapes:
        """One sample's shape as a model takes it, without the batch axis; by name of several."""
        return input_shape_of(self.X, self.columns)

    @property
    def output_shape(self) -> Shapes:
        """One row's shape of what the model returns, without the batch axis; by name of several."""
        shapes = {
            name: _output_shape(y, task_of(self.task, name), self.classes)
            for name, y in named(self.y)
        }
        return shapes if isinstance(self.y, Mapping) else shapes[""]

    @property
    def n_outputs(self) -> int | Mapping[str, int]:
        """Units of the last layer; by name where there are several outputs.

        1 for binary, the number of classes for multiclass, the size of y's last axis for others.
        """
        shapes = self.output_shape
        if isinstance(shapes, Mapping):
            return {name: shape[-1] for name, shape in shapes.items()}
        return shapes[-1]

    @property
    def digest(self) -> str:
        """sha256 over all arrays with their shapes and types, and over columns; 64 hex digits."""
        sha = hashlib.sha256()
        # Numeric tables have none, and the digest that they had before there were columns.
        if self.columns:
            sha.update(repr(self.columns).encode())
        parts = [self.parts[name] for name in sorted(self.parts)]
        # What most data sets lack is left out, so that their digests stay as they were.
        further = {"weight": self.weight, "groups": self.groups, "time": self.time}
        for name, arrays in further.items():
            if arrays is not None:
                sha.update(name.encode())
                parts.extend(leaves(arrays))
        for arrays in (self.X, self.y, self.weight):
            if isinstance(arrays, Mapping):
                sha.update(repr(list(arrays)).encode())
        for array in (*leaves(self.X), *leaves(self.y), *parts):
            if isinstance(array, LazyArray):
                array.update(sha)
                continue
            contiguous = np.ascontiguousarray(array)
            sha.update(f"{contiguous.dtype.str}{contiguous.shape}".encode())
            sha.update(contiguous.tobytes())
        return sha.hexdigest()


def input_shape_of(X: Arrays, columns: tuple[Column, ...]) -> Shapes:
    """Return one sample's shape after `columns` have become inputs; else X's own, by its names."""
    if columns:
        return (sum(column.width for column in columns),)
    return each(lambda array: tuple(array.shape[1:]), X)


def each_shape(function: Callable[[Any], T], shapes: Any) -> T | dict[str, T]:
    """Return what `function` makes of the one shape, or of each by its name."""
    if isinstance(shapes, Mapping):
        return {name: function(shape) for name, shape in shapes.items()}
    return function(shapes)


def task_of(task: Tasks, output: str = "") -> Task:
    """Return the task of one output; where only one was given, it is that of them all.

    Raises:
        ValueError: There are several, and none of this name.
    """
    if not isinstance(task, Mapping):
        return task
    if output not in task:
        raise ValueError(f"no output is called '{output}'; there are: {', '.join(task)}")
    return task[output]


def _in_order(arrays: Any) -> Any:
    """Return several arrays "in the model's order" as a mapping; anything else as it is."""
    is_several = isinstance(arrays, list | tuple) and len(arrays) > 0
    if is_several and all(isinstance(array, np.ndarray) for array in arrays):
        return {str(i): array for i, array in enumerate(arrays)}
    return arrays


def _plain_texts(groups: Any) -> Any:
    """Return texts held as objects, as pandas has them, as NumPy's own: objects have no digest."""
    if not isinstance(groups, np.ndarray) or groups.dtype.kind != "O":
        return groups
    is_text = all(isinstance(group, str) for group in groups.tolist())
    return groups.astype(str) if is_text else groups


def _output_shape(y: Array, task: Task, classes: tuple[str, ...]) -> tuple[int, ...]:
    if task == "multiclass":
        return (*y.shape[1:], len(classes) or int(y.max()) + 1)
    if task == "binary" or y.ndim == 1:
        return (1,)
    return tuple(y.shape[1:])
