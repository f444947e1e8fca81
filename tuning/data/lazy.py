"""`LazyArray`: inputs that behave as an array of rows and are not one in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from tuning.data.arrays import Array


class LazyArray(ABC):
    """Rows that are made when they are needed: windows of a series, batches of a stream.

    It has what a `Dataset` and its parts ask of an array: `shape`, `dtype`, a length, rows by
    their numbers. NumPy makes a plain array of it, all rows at once, where something needs that.
    """

    shape: tuple[int, ...]
    """`(rows, *input_shape)`."""
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes, the rows' included."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, rows: Any) -> Any:
        """Return these rows, without making them."""

    @abstractmethod
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all rows in memory."""

    @abstractmethod
    def joined(self, others: Sequence[Self]) -> Self:
        """Return the rows of this and of others below it, without making them."""

    @abstractmethod
    def update(self, sha: Any) -> None:
        """Feed what makes the rows into a `hashlib` object."""

    @abstractmethod
    def faults(self, name: str) -> Iterator[str]:
        """Yield what is wrong with the numbers, as `dataset_faults` does of an array."""

    @abstractmethod
    def figures(self) -> tuple[Array, Array]:
        """Return mean and standard deviation of each feature over these rows.

        float64, over the flattened input. A constant feature has deviation 1.
        """

    @abstractmethod
    def standardised(self, mean: Array | None, deviation: Array | None) -> Any:
        """Return float32 rows, centred and divided by such figures; None: only cast."""

    @abstractmethod
    def head(self, n_rows: int) -> Array:
        """Return the first rows in memory, at most so many."""

    @property
    @abstractmethod
    def fits_memory(self) -> bool:
        """Whether all rows may be made at once, for what can only work on an array."""

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return the rows in another type; float32 without making them."""
        if np.dtype(dtype) == self.dtype:
            return self
        if np.dtype(dtype) == np.float32:
            return self.standardised(None, None)
        return np.asarray(self).astype(dtype, copy=copy)

    def reshape(self, *shape: Any) -> Array:
        """Return all rows in memory, in another shape."""
        return np.asarray(self).reshape(*shape)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        if function is np.concatenate and len(args) == 1 and not kwargs:
            first, *others = args[0]
            if all(type(other) is type(first) for other in others):
                return first.joined(others)
        made = [_in_memory(argument) for argument in args]
        return function(*made, **kwargs)


def _in_memory(argument: Any) -> Any:
    if isinstance(argument, LazyArray):
        return np.asarray(argument)
    if isinstance(argument, list | tuple):
        return type(argument)(map(_in_memory, argument))
    return argument
