"""Layers that learn from rows before training: they see the training rows, and no other.

`Normalization`, `TextVectorization`, `StringLookup`, `IntegerLookup`, `Discretization`: a builder
may leave `adapt` out, and then it is done here, inside the fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning.builders.inputs import graph_internals
from tuning.data.arrays import Array, Arrays, leaves
from tuning.data.kinds.stream_array import stream_part
from tuning.data.lazy import LazyArray
from tuning.errors import StudyError

if TYPE_CHECKING:
    import keras

CHUNK = 1024
"""Rows of one batch, where what reaches a layer is made batch by batch."""


def adapt_layers(model: keras.Model, X: Arrays) -> tuple[str, ...]:
    """Adapt every layer that waits for it, in the model's order; return their names.

    Args:
        model: Built.
        X: The training rows, prepared, as the model takes them.

    Raises:
        StudyError: A layer lies where nobody can tell what reaches it.
    """
    layers = list(waiting(model))
    for layer in layers:
        layer.adapt(_reaching(model, layer, X))
    return tuple(layer.name for layer in layers)


def waiting(model: Any) -> Iterator[Any]:
    """Yield the layers that are not adapted and were given no figures of their own."""
    layers = list(graph_internals.all_layers(model))
    inner = {id(graph_internals.inside_of(layer)) for layer in layers}
    for layer in layers:
        is_inside = id(layer) in inner
        if not is_inside and graph_internals.waits_for_adapt(layer):
            yield layer


def _reaching(model: Any, layer: Any, X: Arrays) -> Array | Iterator[Array]:
    """Return what reaches a layer when the model is given `X`; in batches where X is lazy.

    Raises:
        StudyError: The model is a subclass, or the layer lies within a model of its own.
    """
    import keras

    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise not_adapted(layer)
    if not any(layer is own for own in model.layers):
        raise not_adapted(layer)

    names = [tensor.name for tensor in model.inputs]
    place = next((i for i, tensor in enumerate(model.inputs) if tensor is layer.input), None)
    is_lazy = any(isinstance(array, LazyArray) for array in leaves(X))
    if place is not None and not is_lazy:
        rows: Array = _in_order(X, names)[place]
        return rows

    if place is not None:
        reaching = (np.asarray(batch[place]) for batch in _batches(X, names))
    else:
        before = keras.Model(model.inputs, layer.input)
        reaching = (np.asarray(before(batch, training=False)) for batch in _batches(X, names))
    return reaching if is_lazy else np.concatenate(list(reaching))


def _in_order(X: Any, names: Sequence[str]) -> list[Any]:
    """Return the arrays of a model's inputs in its order, whether X names them or numbers them."""
    if not isinstance(X, Mapping):
        return list(X) if isinstance(X, list | tuple) else [X]
    return [X[name] if name in X else X[str(place)] for place, name in enumerate(names)]


def _batches(X: Arrays, names: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the inputs batch by batch, as tensors in the model's order; each row once."""
    import keras
    import tensorflow as tf

    stream = stream_part(X)
    if stream is not None:
        for batch in stream.source.opened(CHUNK):
            x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            yield _in_order(x, names)
        return

    arrays = _in_order(X, names)
    for start in range(0, len(arrays[0]), CHUNK):
        rows = slice(start, start + CHUNK)
        yield [tf.constant(np.asarray(array[rows])) for array in arrays]


def not_adapted(layer: Any) -> StudyError:
    """Return what to say of a layer that nobody but the builder can adapt."""
    return StudyError(
        f"layer '{layer.name}' ({type(layer).__name__}) is not adapted, and nobody can tell what "
        "reaches it inside a subclass of keras.Model: adapt it in the builder, give it its "
        "vocabulary or figures when it is made, or build the model with keras.Sequential or "
        "keras.Model(inputs, outputs), where it is adapted on the training rows"
    )
