"""`StreamArray`: inputs that come in batches and are never all in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, Protocol, Self

import numpy as np

from tuning.data.arrays import Array, Arrays, leaves
from tuning.data.lazy import LazyArray
from tuning.errors import StudyError


class Opens(Protocol):
    """What gives the batches of one part, see `kinds.stream_source.StreamSource`."""

    fixes_batches: bool

    def opened(
        self, batch_size: int, seed: int = 0, *, epoch: int = 0, shuffle: bool = False
    ) -> Any:
        """Return a `tf.data.Dataset` of (X, y) or (X, y, weight)."""

    def end_pass(self) -> None:
        """Do what is to be done after an epoch."""


class StreamPart:
    """One part of a stream, and what is known of it.

    Attributes:
        source: Gives the batches.
        y: Targets of all rows, in the order of the batches.
        first_X: Inputs of the first batch.
        rows: Where its rows stand among those of all parts, (first, last + 1).
        facts: Types, shapes and version, as text.
        is_random: Whether it begins with another batch whenever it is opened.
    """

    def __init__(
        self,
        source: Opens,
        *,
        y: Arrays,
        first_X: Arrays,
        first: int,
        facts: str,
        is_random: bool = False,
    ) -> None:
        self.source = source
        self.y = y
        self.first_X = first_X
        self.rows = (first, first + len(leaves(y)[0]))
        self.facts = facts
        self.is_random = is_random

    def __len__(self) -> int:
        return self.rows[1] - self.rows[0]


class StreamArray(LazyArray):
    """One input of the rows of a stream; several inputs are several arrays over the same parts.

    Rows cannot be chosen: a whole part can, and the first rows, which are those of the first batch.

    Attributes:
        parts: Those that it has the rows of.
        name: Of the input; "": the only one.
    """

    def __init__(self, parts: Sequence[StreamPart], name: str = "") -> None:
        self.parts = tuple(parts)
        self.name = name
        first = self._first(self.parts[0])
        self.shape = (sum(map(len, self.parts)), *first.shape[1:])
        self.dtype = first.dtype

    @property
    def part(self) -> StreamPart:
        """The only part.

        Raises:
            StudyError: There are several.
        """
        if len(self.parts) > 1:
            self._refuse()
        return self.parts[0]

    def __getitem__(self, rows: Any) -> Any:
        """Return a part by the numbers of all its rows, or the first rows as a plain array.

        Raises:
            StudyError: Any other rows are asked for.
        """
        if isinstance(rows, slice):
            if rows == slice(None):
                return self
            first = self._first(self.parts[0])
            if rows.step in (None, 1) and not rows.start and 0 <= (rows.stop or -1) <= len(first):
                return first[rows]
            self._refuse()

        numbers = np.asarray(rows)
        for part in self.parts:
            if len(numbers) == len(part) and np.array_equal(numbers, np.arange(*part.rows)):
                return type(self)([part], self.name)
        self._refuse()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Raise `StudyError`: it would not fit."""
        self._refuse("all at once")

    def joined(self, others: Sequence[Self]) -> Self:
        """Return the rows of several parts, to be counted and told apart; they are not read."""
        return type(self)([*self.parts, *(part for one in others for part in one.parts)], self.name)

    def update(self, sha: Any) -> None:
        """Feed types, shapes, version and the first batch of each part."""
        for part in self.parts:
            sha.update(f"{self.name} {part.facts}".encode())
            if not part.is_random:
                sha.update(stable_bytes(self._first(part)))

    def faults(self, name: str) -> Iterator[str]:
        """Yield what is wrong with the numbers of the first batches."""
        for part in self.parts:
            first = self._first(part)
            if first.dtype.kind == "f" and not np.isfinite(first).all():
                n_bad = int((~np.isfinite(first)).sum())
                yield f"{name} has {n_bad} NaN or infinite values in a first batch; fill them"

    def head(self, n_rows: int) -> Array:
        """Return rows of the first batch, at most so many."""
        return self._first(self.parts[0])[:n_rows]

    @property
    def fits_memory(self) -> bool:
        """It never does."""
        return False

    def figures(self) -> tuple[Array, Array]:
        """Raise `StudyError`: a stream is taken as it comes."""
        raise StudyError(
            "the inputs of a Stream are not standardised: put a Normalization or Rescaling layer "
            "first, or scale in the stream, and leave scale=False"
        )

    def standardised(self, mean: Array | None, deviation: Array | None) -> Any:
        """Return the batches as they come: without figures there is nothing to be done."""
        if mean is not None or deviation is not None:
            self.figures()
        return self

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return it as it is: Keras casts each batch."""
        return self

    def _first(self, part: StreamPart) -> Array:
        first = part.first_X
        return first[self.name] if self.name else first  # type: ignore[return-value]

    def _refuse(self, how: str = "by their numbers") -> NoReturn:
        raise StudyError(
            f"the rows of a Stream cannot be had {how}: it is read from its beginning to its end. "
            "There are no folds (leave cv out: its validation part judges), no scikit-learn "
            "engines and no splits; data that fit into memory can be a Dataset"
        )


def stable_bytes(array: Array) -> bytes:
    """Return what tells an array from another one; texts lie elsewhere than in its memory."""
    if array.dtype.kind == "O":
        return repr(array.tolist()).encode()
    return np.ascontiguousarray(array).tobytes()


def stream_part(X: Any) -> StreamPart | None:
    """Return the part of a stream that inputs are, or None where they are arrays."""
    for array in leaves(X):
        if isinstance(array, StreamArray):
            return array.part
    return None
