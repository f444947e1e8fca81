"""`Dataset`: a table as a study names it, before it is split or scaled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from tuning.data.arrays import Array as Array  # the other rooms find it here

Task: TypeAlias = Literal["regression", "binary", "multiclass", "multilabel"]
TASKS: tuple[Task, ...] = ("regression", "binary", "multiclass", "multilabel")


@dataclass(frozen=True)
class Column:
    """One column of a user's table, and how `Dataset.X` holds it.

    Attributes:
        name: As the table has it.
        categories: The texts of a categorical column, sorted: X holds their numbers. Empty: X holds
            the numbers themselves. NaN is an empty cell in both.
    """

    name: str
    categories: tuple[str, ...] = ()

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
        time: `(rows,)`, numbers or datetime64: a split by time trains on no later row.
    """

    name: str
    X: Array
    y: Array
    task: Task
    classes: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    scale: bool = True
    unit: str = ""
    source: str = ""
    parts: Mapping[str, Array] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    notices: tuple[str, ...] = ()
    weight: Array | None = None
    groups: Array | None = None
    time: Array | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One sample's shape as a model takes it, without the batch axis."""
        return input_shape_of(self.X, self.columns)

    @property
    def n_outputs(self) -> int:
        """Units of the last layer.

        1 for binary, the number of classes for multiclass, the number of columns of y for others.
        """
        if self.task == "multiclass":
            return len(self.classes) or int(self.y.max()) + 1
        if self.task == "binary" or self.y.ndim == 1:
            return 1
        return int(self.y.shape[1])

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
        for name, array in further.items():
            if array is not None:
                sha.update(name.encode())
                parts.append(array)
        for array in (self.X, self.y, *parts):
            contiguous = np.ascontiguousarray(array)
            sha.update(f"{contiguous.dtype.str}{contiguous.shape}".encode())
            sha.update(contiguous.tobytes())
        return sha.hexdigest()


def input_shape_of(X: Array, columns: tuple[Column, ...]) -> tuple[int, ...]:
    """Return one sample's shape after `columns` have become inputs; else X's own."""
    if columns:
        return (sum(column.width for column in columns),)
    return tuple(X.shape[1:])
