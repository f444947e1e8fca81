"""What a table's cells are called here, and what can be said of a column at a glance."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Frame: TypeAlias = Any
"""A `pandas.DataFrame`; pandas is imported when a table is read."""
Cells: TypeAlias = Any
"""A `pandas.Series`: one column of a frame."""


def is_number(cells: Cells) -> bool:
    """Whether a column holds numbers, or True and False with empty cells between."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(cells) or is_bool_dtype(cells.dropna().infer_objects()))


def is_hashable(cells: Cells) -> bool:
    """Whether the first cells are single values, and no lists or mappings."""
    return cells.dtype != object or all(
        not isinstance(cell, list | dict | set | np.ndarray) for cell in cells.iloc[:1000]
    )
