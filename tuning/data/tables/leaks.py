"""Columns that tell the target outright: a copy of it, under whatever name and in other words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from tuning.data.dataset import Array, Task
from tuning.data.tables.inputs import Value
from tuning.data.tables.options import advice

_LEAST_ROWS = 30
"""With fewer, two columns may go together by accident."""
_FIRST_ROWS = 1000
_EQUAL = 1e-9
"""Of a standard deviation: what rounding may make of a straight line."""


def leak_faults(
    values: Sequence[Value], y: Array, task: Task, target: str, trusted: Collection[str]
) -> Iterator[str]:
    """Yield one sentence for each input from which the target can be read off.

    Args:
        values: Columns and what they hold, `(rows,)` each.
        y: `(rows,)`: numbers, or class numbers.
        task: Class numbers are compared as names, numbers as quantities.
        target: Its name, for the words.
        trusted: Columns that the user has vouched for.
    """
    if len(y) < _LEAST_ROWS:
        return
    classes = np.unique(y)
    for column, cells in values:
        if column.source in trusted or np.isnan(cells).any():
            continue
        if task == "regression":
            how = _is_straight_line(cells, y)
        else:
            how = _is_renaming(cells, y, classes)
        if how:
            yield (
                f"column '{column.source}' tells the target: {how} '{target}'. Leave it out "
                f"({advice('drop', column.source)}), or say that it is known before the target is "
                f"({advice('trust', column.source)})"
            )


def _is_renaming(cells: Array, y: Array, classes: Array) -> str:
    """Say so where each value goes with one class and each class with one value."""
    # A quantity is told by its first rows, and spared the sorting of all of them.
    if len(np.unique(cells[:_FIRST_ROWS])) > len(classes):
        return ""

    different = np.unique(cells)
    if len(different) != len(classes):
        return ""
    pairs = np.unique(np.stack([cells, y]), axis=1)
    return "each of its values goes with one of" if pairs.shape[1] == len(classes) else ""


def _is_straight_line(cells: Array, y: Array) -> str:
    """Say so where the target is the column, or a multiple of it plus a constant."""
    if np.array_equal(cells, y):
        return "it is equal to"
    spread = np.std(cells)
    if not spread > 0:
        return ""
    slope = np.mean((cells - cells.mean()) * (y - y.mean())) / spread**2
    rest = y - y.mean() - slope * (cells - cells.mean())
    return "a straight line leads from it to" if np.std(rest) <= _EQUAL * np.std(y) else ""
