"""The column to be predicted: numbers, or class numbers with their names."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuning.data.dataset import Array, Task
from tuning.data.tables.cells import Cells, is_number
from tuning.data.tables.inputs import LARGEST, LONGEST_QUOTE
from tuning.data.tables.numbers import written_numbers
from tuning.data.tables.options import Notices


def target_numbers(cells: Cells, task: Task, decimal: str | None, notices: Notices) -> Cells:
    """Return the target as it stands; of a regression's texts the numbers that they say."""
    if task != "regression" or is_number(cells):
        return cells
    numbers = written_numbers(cells, decimal)
    if numbers is None:
        return cells

    import pandas as pd

    example = str(cells.dropna().iloc[0])[:LONGEST_QUOTE]
    first = numbers.values[~np.isnan(numbers.values)][0]
    notices.add(f"target '{cells.name}' read as numbers: {example!r} is {first:g}")
    return pd.Series(numbers.values, index=cells.index, name=cells.name)


def target_faults(cells: Cells, task: Task) -> Iterator[str]:
    """Yield one sentence for each thing that makes the target unfit for the task."""
    from pandas.api.types import is_datetime64_any_dtype

    head = f"target '{cells.name}'"
    if task not in ("regression", "binary", "multiclass"):
        yield f"task {task!r} does not go with a table; there are: regression, binary, multiclass"
        return
    if is_datetime64_any_dtype(cells):
        yield f"{head} holds dates; give numbers, such as the days until then"
        return
    is_empty = cells.isna()
    if is_empty.any():
        first = np.flatnonzero(is_empty)[0]
        yield (
            f"{head} has {int(is_empty.sum())} empty cells, the first in row {first}; "
            "drop these rows"
        )
        return
    yield from _value_faults(cells, task)


def _value_faults(cells: Cells, task: Task) -> Iterator[str]:
    from pandas.api.types import is_numeric_dtype

    head = f"target '{cells.name}'"
    n_different = cells.astype(str).nunique()
    is_numeric = is_numeric_dtype(cells)
    example = str(cells.iloc[0])[:LONGEST_QUOTE]
    if is_numeric and not (np.abs(cells.astype(float)) <= LARGEST).all():
        yield f"{head} holds infinite values, or some above {LARGEST:.2g}; mend these rows"
    elif n_different == 1:
        yield f"{head} is constant: every row has {example!r}, there is nothing to learn"
    elif task == "regression" and not is_numeric:
        fitting = "binary" if n_different == 2 else "multiclass"
        yield (
            f"{head} holds texts such as {example!r}; a regression needs numbers, "
            f"fitting: {fitting}"
        )
    elif task == "binary" and n_different != 2:
        fitting = "regression or multiclass" if is_numeric else "multiclass"
        yield (
            f"{head} holds {n_different} different values, a binary target has two; "
            f"fitting: {fitting}"
        )
    elif task == "multiclass" and is_numeric and _has_fractions(cells):
        yield f"{head} holds fractions; fitting: regression"


def _has_fractions(cells: Cells) -> bool:
    return not np.equal(np.mod(cells.astype(float), 1), 0).all()


def target_values(cells: Cells, task: Task) -> tuple[Array, tuple[str, ...]]:
    """Return y and the names of its classes."""
    if task == "regression":
        return cells.to_numpy(dtype=float), ()
    classes, numbers = np.unique(cells.to_numpy(), return_inverse=True)
    return numbers.reshape(-1), tuple(str(name) for name in classes.tolist())
