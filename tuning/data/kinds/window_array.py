"""`WindowArray`: windows of a series as rows; the series is in memory once, the windows never."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from tuning.data.arrays import Array
from tuning.data.lazy import LazyArray

MOST_BYTES = 1 << 30
"""Of windows that are written out for what can only work on an array."""


class WindowArray(LazyArray):
    """Row i is `series[starts[i] : starts[i] + window]`.

    Attributes:
        series: `(moments, features)`, read-only and shared by all parts of a data set.
        starts: int32 `(rows,)`: where each window begins.
        window: Moments of a window.
    """

    def __init__(self, series: Array, starts: Array, window: int) -> None:
        self.series = _frozen(series)
        self.starts = _frozen(np.asarray(starts, np.int32))
        self.window = window
        self.shape = (len(starts), window, *series.shape[1:])
        self.dtype = series.dtype
        self._scaled: weakref.WeakValueDictionary[bytes, Array] = weakref.WeakValueDictionary()

    def __getstate__(self) -> dict[str, Any]:
        # What was scaled can be scaled again.
        return {name: value for name, value in self.__dict__.items() if name != "_scaled"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _scaled=weakref.WeakValueDictionary())
        # A pickle forgets it; a copy would make another series of each part's.
        self.series.flags.writeable = False
        self.starts.flags.writeable = False

    def __getitem__(self, rows: Any) -> Any:
        """Return these rows as windows of the same series; of one number its window."""
        if isinstance(rows, int | np.integer):
            start = int(self.starts[rows])
            return self.series[start : start + self.window]
        if isinstance(rows, tuple):
            return np.asarray(self)[rows]
        return self._of(self.series, self.starts[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return `(rows, window, features)`: `window` times the memory of the series."""
        moments = self.starts[:, None] + np.arange(self.window, dtype=np.int32)
        unrolled = self.series[moments]
        return unrolled if dtype is None else unrolled.astype(dtype, copy=False)

    def joined(self, others: Sequence[Self]) -> Self:
        """Return the windows of several parts of one series.

        Raises:
            ValueError: They are of different series.
        """
        for other in others:
            if other.series is not self.series or other.window != self.window:
                raise ValueError("windows of different series cannot be joined")
        return self._of(self.series, np.concatenate([self.starts, *(o.starts for o in others)]))

    def update(self, sha: Any) -> None:
        """Feed the series and where its windows lie."""
        for array in (self.series, self.starts):
            sha.update(f"{array.dtype.str}{array.shape}{self.window}".encode())
            sha.update(np.ascontiguousarray(array).tobytes())

    def faults(self, name: str) -> Iterator[str]:
        """Yield what is wrong with the numbers of the series."""
        if self.dtype.kind not in "biuf":
            yield f"{name} must hold numbers, got a series of dtype {self.dtype}"
            return
        is_bad = ~np.isfinite(self.series)
        if is_bad.any():
            first = np.flatnonzero(is_bad.reshape(len(self.series), -1).any(axis=1))[0]
            yield (
                f"the series has {int(is_bad.sum())} NaN or infinite values, the first at moment "
                f"{first}; drop or fill them"
            )

    def head(self, n_rows: int) -> Array:
        """Return the first windows, at most so many."""
        return np.asarray(self[:n_rows])

    @property
    def fits_memory(self) -> bool:
        """Whether the windows written out take at most `MOST_BYTES`."""
        return int(np.prod(self.shape)) * self.dtype.itemsize <= MOST_BYTES

    def figures(self) -> tuple[Array, Array]:
        """Return the figures of each column over the moments that these windows cover, once each.

        Each column's stand at every moment of the window.
        """
        from sklearn.preprocessing import StandardScaler

        moments = self.series[self._is_covered()]
        fitted = StandardScaler().fit(moments.reshape(len(moments), -1).astype(np.float64))
        return np.tile(fitted.mean_, self.window), np.tile(fitted.scale_, self.window)

    def standardised(self, mean: Array | None, deviation: Array | None) -> Self:
        """Return windows of the standardised series, float32; computed in float64."""
        if mean is None or deviation is None:
            key = b""
        else:
            key = np.asarray(mean).tobytes() + np.asarray(deviation).tobytes()
        scaled = self._scaled.get(key)
        if scaled is None:
            scaled = _frozen(_standardised(self.series, mean, deviation))
            self._scaled[key] = scaled
        return self._of(scaled, self.starts)

    def _is_covered(self) -> Array:
        """Return which moments lie in a window, `(moments,)` bool."""
        edges = np.zeros(len(self.series) + 1, np.int64)
        np.add.at(edges, self.starts, 1)
        np.add.at(edges, self.starts + self.window, -1)
        is_covered: Array = np.cumsum(edges[:-1]) > 0
        return is_covered

    def _of(self, series: Array, starts: Array) -> Self:
        """Return other windows, which share what was scaled before."""
        windows = type(self)(series, starts, self.window)
        if series is self.series:
            windows._scaled = self._scaled
        return windows


def _standardised(series: Array, mean: Array | None, deviation: Array | None) -> Array:
    if mean is None or deviation is None:
        return series.astype(np.float32)
    # The figures stand once a moment of the window: those of the first moment say all.
    columns = series.shape[1:]
    n_features = int(np.prod(columns))
    centred = series - np.reshape(mean[:n_features], columns)
    divided: Array = centred / np.reshape(deviation[:n_features], columns)
    return divided.astype(np.float32)


def _frozen(array: Array) -> Array:
    """Return an array that nobody can change, so that a worker moves it to its device once."""
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array
