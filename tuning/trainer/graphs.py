"""Graphs and loops without autograph.

It leaves a file in the temporary folder for each function that it converts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from tuning.trainer import windows
from tuning.trainer.windows import spec_of

Tensors: TypeAlias = tuple[Any, ...]
"""X, y and perhaps weights, rows first: each a tensor, or several nested as `fit` takes them."""


def graph_of(
    function: Callable[..., Any], signature: Sequence[tf.TensorSpec], **settings: Any
) -> Any:
    """Return a `tf.function` that is traced once, as it is written."""
    return tf.function(function, input_signature=signature, autograph=False, **settings)


def any_rows(arrays: Tensors) -> tuple[Any, ...]:
    """Return the signature of a graph that takes such arrays with any number of rows."""
    specs: tuple[Any, ...] = keras.tree.map_structure(spec_of, arrays)
    return specs


def any_batch(arrays: Tensors) -> tuple[Any, ...]:
    """Return the signature of a graph that takes a batch of their rows, windows written out."""

    def of_batch(array: Any) -> tf.TensorSpec:
        return tf.TensorSpec([None, *array.shape[1:]], array.dtype)

    specs: tuple[Any, ...] = keras.tree.map_structure(of_batch, arrays)
    return specs


def count_rows(arrays: Any) -> int:
    """Return the rows of tensors, which all have as many."""
    return int(keras.tree.flatten(arrays)[0].shape[0])


def rows_in_graph(arrays: Any) -> tf.Tensor:
    """Return the rows of tensors as a number in the graph, which knows it when it runs."""
    return windows.count_rows(keras.tree.flatten(arrays)[0])


def gather(arrays: Any, rows: tf.Tensor) -> Any:
    """Return these rows of each tensor, in this order."""
    return keras.tree.map_structure(lambda array: windows.gathered(array, rows), arrays)


def cut(arrays: Any, part: slice | tf.Tensor | int) -> Any:
    """Return a part of each tensor along its first axis."""
    return keras.tree.map_structure(lambda array: array[part], arrays)


def repeat(body: Callable[[tf.Tensor], Any], stop: tf.Tensor, step: tf.Tensor | int = 1) -> None:
    """Call `body` with 0, `step`, … below `stop`, in the graph."""

    def once(i: tf.Tensor) -> tuple[tf.Tensor]:
        body(i)
        return (i + step,)

    tf.while_loop(lambda i: i < stop, once, (tf.constant(0),))
