"""Graphs and loops without autograph.

It leaves a file in the temporary folder for each function that it converts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from tuning.trainer.windows import spec_of

Tensors: TypeAlias = tuple[tf.Tensor, ...]
"""X, y and perhaps weights, rows first."""


def graph_of(
    function: Callable[..., Any], signature: Sequence[tf.TensorSpec], **settings: Any
) -> Any:
    """Return a `tf.function` that is traced once, as it is written."""
    return tf.function(function, input_signature=signature, autograph=False, **settings)


def any_rows(arrays: Tensors) -> tuple[tf.TensorSpec, ...]:
    """Return the signature of a graph that takes such arrays with any number of rows."""
    return tuple(map(spec_of, arrays))


def any_batch(arrays: Tensors) -> tuple[tf.TensorSpec, ...]:
    """Return the signature of a graph that takes a batch of their rows, windows written out."""
    return tuple(tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in arrays)


def repeat(body: Callable[[tf.Tensor], None], stop: tf.Tensor, step: tf.Tensor | int = 1) -> None:
    """Call `body` with 0, `step`, … below `stop`, in the graph."""

    def once(i: tf.Tensor) -> tuple[tf.Tensor]:
        body(i)
        return (i + step,)

    tf.while_loop(lambda i: i < stop, once, (tf.constant(0),))
