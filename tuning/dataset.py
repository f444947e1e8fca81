"""`Dataset`: a table as a study names it, before it is split or scaled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Task: TypeAlias = Literal["regression", "binary", "multiclass", "multilabel"]
Array: TypeAlias = NDArray[Any]
TASKS: tuple[Task, ...] = ("regression", "binary", "multiclass", "multilabel")


@dataclass(frozen=True, eq=False)
class Dataset:
    """All rows of one table.

    Attributes:
        name: Short name, for display and MLflow.
        X: `(rows, *input_shape)`, numeric.
        y: Regression: `(rows,)` or `(rows, outputs)` float. Binary and multiclass: `(rows,)` class numbers from 0.
            Multilabel: `(rows, labels)` of 0 / 1.
        task: Which of the four it is; it fixes metrics, baselines and stratified splits.
        classes: Names of the classes, by number; empty for regression.
        feature_names: One a column, or empty.
        scale: Standardise each feature with the training part's mean and standard deviation.
        unit: What one unit of y is, e.g. `"100,000 USD"`.
        source: Where it comes from, for the reader.
        parts: Row numbers of "train", "validation", "test" where the data set fixes them; else empty, split by seed.
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

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One sample's shape, without the batch axis."""
        return tuple(self.X.shape[1:])

    @property
    def n_outputs(self) -> int:
        """Units of the last layer: 1 for binary, the number of classes for multiclass, else y's columns."""
        if self.task == "multiclass":
            return len(self.classes) or int(self.y.max()) + 1
        return 1 if self.task == "binary" or self.y.ndim == 1 else int(self.y.shape[1])

    @property
    def digest(self) -> str:
        """sha256 over shapes, types and bytes of X and y, and the fixed parts (hex)."""
        sha = hashlib.sha256()
        for array in (self.X, self.y, *(self.parts[key] for key in sorted(self.parts))):
            whole = np.ascontiguousarray(array)
            sha.update(f"{whole.dtype.str}{whole.shape}".encode())
            sha.update(whole.tobytes())
        return sha.hexdigest()
