"""Graphs and loops without autograph: it leaves a file in the temporary folder for each function
that it converts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def graph_of(
    function: Callable[..., Any], signature: Sequence[tf.TensorSpec], **settings: Any
) -> Any:
    """Return a `tf.function` that is traced once, as it is written."""
    return tf.function(function, input_signature=signature, autograph=False, **settings)


def repeat(body: Callable[[tf.Tensor], None], stop: tf.Tensor, step: tf.Tensor | int = 1) -> None:
    """Call `body` with 0, `step`, … below `stop`, in the graph."""

    def once(i: tf.Tensor) -> tuple[tf.Tensor]:
        body(i)
        return (i + step,)

    tf.while_loop(lambda i: i < stop, once, (tf.constant(0),))
