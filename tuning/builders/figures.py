"""What is counted and measured of a built model: its size, and the time of one row through it."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from tuning.data.arrays import Arrays, each

if TYPE_CHECKING:
    import keras

BYTES_A_NUMBER = 4
"""Of float32, in which weights are saved."""
WARM_UP = 5
TIMED = 50
"""Calls before the clock is looked at, and calls of which the median is taken."""


def figures_of(
    model: keras.Model, asked: frozenset[str], row: Arrays | None = None
) -> dict[str, float]:
    """Return the figures asked for.

    Args:
        model: Built.
        asked: Names of `MODEL_FIGURES`.
        row: One row of its input, batch axis included, for `latency_ms`.
    """
    n_parameters = model.count_params()
    known: dict[str, float] = {
        "n_parameters": float(n_parameters),
        "size_kb": n_parameters * BYTES_A_NUMBER / 1000,
    }
    figures = {name: value for name, value in known.items() if name in asked}
    if "latency_ms" in asked and row is not None:
        figures["latency_ms"] = latency_ms(model, row)
    return figures


def latency_ms(model: keras.Model, row: Arrays) -> float:
    """Return the median time of one row through a model, in milliseconds.

    Measured where the trial runs: one graph call on tensors that are there already, the answer
    copied back, not Keras' `predict`, whose own loop takes tens of times as long as a small model.
    Other work on the machine disturbs it; the median of 50 calls forgets single ones.
    """
    import tensorflow as tf

    # Rows that are gathered when they are asked for become an array here.
    inputs = each(lambda array: tf.convert_to_tensor(np.asarray(array)), row)

    @tf.function  # type: ignore[untyped-decorator]
    def call(inputs: object) -> object:
        return model(inputs, training=False)

    def once() -> float:
        began = time.perf_counter()
        tf.nest.map_structure(lambda tensor: tensor.numpy(), call(inputs))
        return 1000 * (time.perf_counter() - began)

    for _ in range(WARM_UP):
        once()
    return statistics.median(once() for _ in range(TIMED))
