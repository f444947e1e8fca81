"""Arrays of one input or output, or of several by name: what is done to all of them alike.

Several are a mapping, by the names of the model's inputs or outputs, in the order that the data set
gives them. `rows` are always the first axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Array | Mapping[str, Array]
"""One array, or one for each name."""

T = TypeVar("T")


def named(arrays: Arrays) -> Iterator[tuple[str, Array]]:
    """Yield each array with its name; that of an only one is ""."""
    if isinstance(arrays, Mapping):
        yield from arrays.items()
    else:
        yield "", arrays


def leaves(arrays: Arrays) -> list[Array]:
    """Return the arrays in their order, one of them or several."""
    return [array for _, array in named(arrays)]


def only(arrays: Arrays) -> Array:
    """Return the one array.

    Raises:
        ValueError: There are several.
    """
    if isinstance(arrays, Mapping):
        raise ValueError(f"one array is wanted here, there are {len(arrays)}: {', '.join(arrays)}")
    return arrays


def each(function: Callable[[Array], T], arrays: Arrays) -> T | dict[str, T]:
    """Return what `function` makes of the one array, or of each by its name."""
    if isinstance(arrays, Mapping):
        return {name: function(array) for name, array in arrays.items()}
    return function(arrays)


def count_rows(arrays: Arrays) -> int:
    """Return the rows of the first array; all have as many where a data set was checked."""
    return len(leaves(arrays)[0])


def take(arrays: Arrays, rows: Array | slice) -> Arrays:
    """Return these rows of each array, in this order."""
    return each(lambda array: array[rows], arrays)


def join(several: Sequence[Arrays]) -> Arrays:
    """Return the rows of several under each other; all have the same names."""
    first = several[0]
    if isinstance(first, Mapping):
        return {name: np.concatenate([_of(one, name) for one in several]) for name in first}
    return np.concatenate([_of(one, "") for one in several])


def _of(arrays: Arrays, name: str) -> Array:
    return dict(named(arrays))[name]
