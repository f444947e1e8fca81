"""`DataValues`: what was made of a study's data for some of its arguments, as memory allows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from tuning.data.arrays import leaves
from tuning.data.parts import Parts

MOST_BYTES = 2**30
"""Of the rows that are kept beside those that the study is known by; their scaled copies come to as
many again."""


class HasParts(Protocol):
    """What is kept."""

    @property
    def parts(self) -> Parts:
        """Its rows."""


T = TypeVar("T", bound=HasParts)


class DataValues(Generic[T]):
    """What was used last; the newest is kept whatever its size.

    Args:
        most_bytes: Of all rows together.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._bytes: dict[str, int] = {}

    def get(self, text: str, make: Callable[[], T]) -> T:
        """Return what is kept under `text`; where nothing is, what `make` returns."""
        if text not in self._kept:
            made = make()
            self._kept[text] = made
            self._bytes[text] = bytes_of(made.parts)
        self._kept.move_to_end(text)

        while len(self._kept) > 1 and sum(self._bytes.values()) > self._most_bytes:
            oldest, _ = self._kept.popitem(last=False)
            del self._bytes[oldest]
        return self._kept[text]

    def __len__(self) -> int:
        return len(self._kept)


def bytes_of(parts: Parts) -> int:
    """Return the size of all rows of a data set; of rows that are made when needed it is 0."""
    arrays: list[Any] = []
    for part in (parts.train, parts.validation, parts.test):
        arrays += leaves(part.X) + leaves(part.y)
    return sum(int(getattr(array, "nbytes", 0)) for array in arrays)
