"""Padded steps of a model's outputs: Keras leaves them out of losses and metrics, so do we."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tuning.builders.inputs import graph_internals
from tuning.data.arrays import Array, Arrays, join, leaves, named
from tuning.data.kinds.stream_array import stream_part
from tuning.trainer.graphs import cut
from tuning.trainer.outputs import by_output, by_target
from tuning.trainer.rows import as_fit_takes, by_name, on_device

CHUNK = 1024
"""Rows of one call."""


def scoring_weight(
    model: keras.Model, X: Arrays, y: Arrays, weight: Arrays | None
) -> Arrays | None:
    """Return what rows count in scores: where a model masks steps, `(rows, steps)` with zeros.

    Args:
        model: Built.
        X: As the model takes it.
        y: Of these rows.
        weight: Of the rows, `(rows,)` or by output; None: 1 each.

    Returns:
        `weight` itself where no step is masked. Of a stream padding is not known.
    """
    if not _has_steps(y) or stream_part(X) is not None or not _may_mask(model):
        return weight
    masks = by_target(_masks(model, X), y)
    of_outputs = {
        name: _of_output(array, _named(masks, name), _named(weight, name))
        for name, array in named(y)
    }
    if all(one is None for one in of_outputs.values()):
        return weight
    if not isinstance(y, Mapping):
        return of_outputs[""]
    # Every output has some: where there is no padding they change nothing.
    ones = np.ones(len(leaves(y)[0]), np.float32)
    return {name: ones if one is None else one for name, one in of_outputs.items()}


def _has_steps(y: Arrays) -> bool:
    return any(getattr(array, "ndim", 0) > 1 and array.shape[1] > 1 for array in leaves(y))


def _may_mask(model: keras.Model) -> bool:
    """Whether a layer of the model makes a mask: `Masking`, `mask_zero=True`, or one's own."""
    for layer in graph_internals.all_layers(model):
        if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
            return True
        is_of_keras = type(layer).__module__.partition(".")[0] == "keras"
        if not is_of_keras and type(layer).compute_mask is not keras.Layer.compute_mask:
            return True
    return False


def _masks(model: keras.Model, X: Arrays) -> Arrays:
    """Return the mask of each output, bool `(rows, steps)`; `(rows, 0)` where it has none."""

    def of_call(x: Any) -> Any:
        return keras.tree.map_structure(_mask, model(x, training=False))

    # Of the graph only what makes the masks is computed.
    masks_of = tf.function(of_call, reduce_retracing=True, autograph=False)
    inputs = as_fit_takes(by_name(X))
    n_rows = len(keras.tree.flatten(inputs)[0])
    chunks = []
    for start in range(0, n_rows, CHUNK):
        part = cut(inputs, slice(start, start + CHUNK))
        tensors = keras.tree.map_structure(lambda array: on_device(np.asarray(array)), part)
        chunks.append(by_output(model, masks_of(tensors)))
    return join(chunks)


def _mask(output: Any) -> tf.Tensor:
    mask = graph_internals.mask_of(output)
    return tf.zeros((tf.shape(output)[0], 0), tf.bool) if mask is None else mask


def _of_output(y: Array, mask: Array, weight: Array | None) -> Array | None:
    """Return the weight of each step of an output; that of its rows where no step is masked."""
    if mask.shape != y.shape[:2] or mask.all():
        return weight
    steps = mask.astype(np.float32)
    if weight is None:
        return steps
    if weight.ndim <= 2:
        return steps * weight.reshape(len(weight), -1)
    return np.asarray(weight * steps.reshape(*steps.shape, *[1] * (weight.ndim - 2)))


def _named(arrays: Arrays | None, name: str) -> Any:
    """Return what one output has; one array is that of all."""
    return arrays[name] if isinstance(arrays, Mapping) else arrays
