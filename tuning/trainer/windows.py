"""Windows of a series on the device: the series once, each batch gathered inside the graph."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tuning.data.arrays import Arrays, leaves
from tuning.data.kinds.window_array import WindowArray


class WindowTensor(tf.experimental.ExtensionType):  # type: ignore[misc]
    """A series and where its windows begin: in a graph it stands in the place of all rows.

    `gathered` and slices make plain tensors `(rows, window, …)` of the rows asked for, and no
    others. Rows asked for in batches, by indices `(batches, rows)`, wait for their batch's turn.

    Attributes:
        series: `(moments, …)`.
        starts: int32 `(rows,)`, or `(batches, rows)` where they wait.
        window: Moments of a window.
    """

    series: tf.Tensor
    starts: tf.Tensor
    window: int

    @property
    def shape(self) -> tf.TensorShape:
        """`(rows, window, …)`."""
        return tf.TensorShape([*self.starts.shape, self.window, *self.series.shape[1:]])

    @property
    def dtype(self) -> tf.DType:
        """That of the series."""
        return self.series.dtype

    def __len__(self) -> int:
        return int(self.starts.shape[0])

    def __getitem__(self, rows: Any) -> tf.Tensor:
        """Return the windows of some rows, or of a batch, as a plain tensor."""
        return self.unrolled(self.starts[rows])

    def unrolled(self, starts: tf.Tensor) -> tf.Tensor:
        """Return the windows that begin there, `(rows, window, …)`."""
        moments = starts[:, None] + tf.range(self.window, dtype=starts.dtype)
        return tf.gather(self.series, moments)

    def any_rows(self) -> tf.TypeSpec:
        """Return the signature of such windows, of which there may be any number."""
        return WindowTensor.Spec(
            series=tf.TensorSpec([None, *self.series.shape[1:]], self.series.dtype),
            starts=tf.TensorSpec([None], self.starts.dtype),
            window=self.window,
        )


def gathered(array: Any, rows: tf.Tensor) -> Any:
    """Return rows of a tensor by their numbers.

    Of windows, numbers in batches `(batches, rows)` make windows that wait for their batch's turn.
    """
    if not isinstance(array, WindowTensor):
        return tf.gather(array, rows)
    starts = tf.gather(array.starts, rows)
    if starts.shape.rank == 1:
        return array.unrolled(starts)
    return WindowTensor(series=array.series, starts=starts, window=array.window)


def count_rows(array: Any) -> tf.Tensor:
    """Return how many rows there are, in the graph."""
    return tf.shape(array.starts if isinstance(array, WindowTensor) else array)[0]


def spec_of(array: Any) -> tf.TypeSpec:
    """Return the signature of a tensor or of windows with any number of rows."""
    if isinstance(array, WindowTensor):
        return array.any_rows()
    return tf.TensorSpec([None, *array.shape[1:]], array.dtype)


def batches(arrays: tuple[Any, ...], batch_size: int, seed: int | None = None) -> tf.data.Dataset:
    """Return rows as `fit` takes them from `tf.data`, gathered batch by batch.

    Args:
        arrays: X, y and perhaps weights, tensors or windows.
        batch_size: Rows a batch; the last one may be smaller.
        seed: Draw a new order each epoch from it; None: in the order of the rows.
    """
    n_rows = int(keras.tree.flatten(arrays[0])[0].shape[0])
    rows = tf.data.Dataset.range(n_rows)
    if seed is not None:
        rows = rows.shuffle(n_rows, seed=seed)

    def gather(batch: tf.Tensor) -> Any:
        return keras.tree.map_structure(lambda array: gathered(array, batch), arrays)

    return rows.batch(batch_size).map(gather).prefetch(tf.data.AUTOTUNE)


def holds_windows(arrays: Arrays) -> bool:
    """Whether an input is windows of a series."""
    return any(isinstance(array, WindowArray) for array in leaves(arrays))
