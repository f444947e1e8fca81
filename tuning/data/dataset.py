"""`Dataset`: a table as a study names it, before it is split or scaled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from tuning.data.arrays import Array as Array  # the other rooms find it here
from tuning.data.arrays import Arrays, each, leaves, named
from tuning.data.intake.inputs import in_order
from tuning.data.intake.inputs import padded as pad
from tuning.data.intake.targets import targets as numbered_targets
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
        X: `(rows, *input_shape)`, numbers or texts; with `columns` float64 `(rows, columns)`.
            Several inputs are a mapping by the model's names of them, or a tuple in its order.
            Ragged rows (a list of lists, dtype object) are padded with 0 at the end.
        y: Regression: `(rows,)`, `(rows, outputs)` or any shape that the model returns, float.
            Binary and multiclass: `(rows,)` class numbers from 0, or of many answers a row
            `(rows, steps)`, `(rows, height, width)`, also with a last axis of 1; names of classes
            and one-hot rows become numbers. Multilabel: `(rows, labels)` of 0 / 1. Several outputs
            as with X.
        task: Which of the four it is; it fixes metrics, baselines and stratified splits. By name
            where several outputs differ.
        classes: Names of the classes, by number; empty for regression.
        feature_names: One a column, or empty.
        scale: True: standardise each feature with the training part's mean and standard deviation.
            False: only cast to float32. "auto": as the numbers and the model's first layers want
            it, see `tuning.builders.inputs.preparation`.
        unit: What one unit of y is, e.g. `"100,000 USD"`.
        source: Where it comes from, for the reader.
        parts: Row numbers of "train", "validation", "test" where the data set fixes them; else
            empty, split by seed.
        columns: What X's columns mean where some are categorical or have empty cells: they are
            imputed, scaled and one-hot encoded, fitted on the training part alone. Empty: X is
            numeric and complete.
        notices: What the reader of the table should know, such as columns that were left out.
        weight: `(rows,)`, what each row counts in loss and metrics, or `(rows, steps)`: what each
            of its answers counts; by name where outputs differ. None: 1.
        groups: `(rows,)`, numbers or texts: rows of one group stay on one side of every split.
        time: `(rows,)`, numbers or datetime64: a split by time trains on no later row. Of rows that
            last, as windows of a series do, `(rows, 2)`: the first and the last moment of each.
        longest: Steps at which longer ragged rows are cut; None: the longest row's.
        one_hot: Outputs ("" for an only one) whose y was given as one-hot rows: losses of one's own
            are given such rows.
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
    longest: int | None = None
    one_hot: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        notices = list(self.notices)
        for field_name in ("X", "y", "weight"):
            arrays = in_order(getattr(self, field_name))
            if field_name == "X":
                arrays = _without_ragged_rows(arrays, self.longest, notices)
            object.__setattr__(self, field_name, arrays)
        object.__setattr__(self, "notices", tuple(notices))
        object.__setattr__(self, "groups", _plain_texts(self.groups))
        if isinstance(self.y, Mapping) and not isinstance(self.task, Mapping):
            object.__setattr__(self, "task", dict.fromkeys(self.y, self.task))
        self._number_classes()

    def _number_classes(self) -> None:
        """Turn names of classes and one-hot rows into class numbers."""
        one_hot = list(self.one_hot)
        by_name = {}
        for name, y in named(self.y):
            task = self.task.get(name, "") if isinstance(self.task, Mapping) else self.task
            numbered = numbered_targets(y, task, self.classes)
            by_name[name] = numbered.y
            if numbered.was_one_hot and name not in one_hot:
                one_hot.append(name)
            if not isinstance(self.y, Mapping):  # of several outputs the names would mix
                object.__setattr__(self, "classes", numbered.classes)
        object.__setattr__(self, "y", by_name if isinstance(self.y, Mapping) else by_name[""])
        object.__setattr__(self, "one_hot", tuple(one_hot))

    @property
    def input_shape(self) -> Shapes:
        """One sample's shape as a model takes it, without the batch axis; by name of several."""
        return input_shape_of(self.X, self.columns)

    @property
    def output_shape(self) -> Shapes:
        """One row's shape of what the model returns, without the batch axis; by name of several."""
        shapes = {
            # Of several outputs the names of classes would mix.
            name: _output_shape(y, task_of(self.task, name), () if name else self.classes)
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
            if array.dtype == object:  # its bytes would be addresses
                array = array.astype(str)
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


def _without_ragged_rows(X: Any, longest: int | None, notices: list[str]) -> Any:
    """Return X with ragged rows padded; a sentence on it is added to `notices`."""
    without: dict[str, Any] = {}
    for name, array in named(X):
        padded = pad(array, longest)
        without[name] = array if padded is None else padded.array
        if padded is not None:
            label = f"X['{name}']" if name else "X"
            notices.append(f"{label}: {padded.notice}")
    return without if isinstance(X, Mapping) else without[""]


def _plain_texts(groups: Any) -> Any:
    """Return texts held as objects, as pandas has them, as NumPy's own: objects have no digest."""
    if not isinstance(groups, np.ndarray) or groups.dtype.kind != "O":
        return groups
    is_text = all(isinstance(group, str) for group in groups.tolist())
    return groups.astype(str) if is_text else groups


def answer_axes(y: Array, task: Task) -> tuple[int, ...]:
    """Return the axes of many answers a row, steps or pixels; () for one answer.

    Of classes each number is an answer, a last axis of 1 beside; of the others each vector along
    the last axis.
    """
    axes = tuple(y.shape[1:])
    if task not in ("binary", "multiclass"):
        return axes[:-1]
    return axes[:-1] if axes and axes[-1] == 1 else axes


def output_shape_of(y: Array, task: Task, n_classes: int) -> tuple[int, ...]:
    """Return one row's shape of what a model of a task returns.

    Args:
        y: `(rows, …)`, class numbers for binary and multiclass.
        task: Of the output.
        n_classes: Of multiclass.
    """
    if task == "multiclass":
        return (*answer_axes(y, task), n_classes)
    if task == "binary":
        return (*answer_axes(y, task), 1)
    return tuple(y.shape[1:]) or (1,)


def _output_shape(y: Array, task: Task, classes: tuple[str, ...]) -> tuple[int, ...]:
    n_classes = (len(classes) or int(y.max()) + 1) if task == "multiclass" else 2
    return output_shape_of(y, task, n_classes)
