"""Layers that learn from rows before training: they see the training rows, and no other.

`Normalization`, `TextVectorization`, `StringLookup`, `IntegerLookup`, `Discretization`: a builder
may leave `adapt` out, and then it is done here, inside the fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning.builders.inputs import graph_internals
from tuning.data.arrays import Array, Arrays, named
from tuning.errors import StudyError

if TYPE_CHECKING:
    import keras

CHUNK = 1024
"""Rows of one call, where layers before the one to adapt compute what reaches it."""


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


def _reaching(model: Any, layer: Any, X: Arrays) -> Array:
    """Return what reaches a layer when the model is given `X`.

    Raises:
        StudyError: The model is a subclass, or the layer lies within a model of its own.
    """
    import keras

    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise not_adapted(layer)
    if not any(layer is own for own in model.layers):
        raise not_adapted(layer)

    inputs = list(model.inputs)
    target = layer.input
    for tensor in inputs:
        if tensor is target:
            return _of_input(tensor.name, X)
    before = keras.Model(inputs, target)
    n_rows = len(next(array for _, array in named(X)))
    chunks = [
        np.asarray(before(_chunk(inputs, X, start), training=False))
        for start in range(0, n_rows, CHUNK)
    ]
    return np.concatenate(chunks)


def _of_input(name: str, X: Arrays) -> Array:
    return X[name] if isinstance(X, Mapping) else X


def _chunk(inputs: list[Any], X: Arrays, start: int) -> Any:
    import tensorflow as tf

    rows = slice(start, start + CHUNK)
    return [tf.constant(_of_input(tensor.name, X)[rows]) for tensor in inputs]


def not_adapted(layer: Any) -> StudyError:
    """Return what to say of a layer that nobody but the builder can adapt."""
    return StudyError(
        f"layer '{layer.name}' ({type(layer).__name__}) is not adapted, and nobody can tell what "
        "reaches it inside a subclass of keras.Model: adapt it in the builder, give it its "
        "vocabulary or figures when it is made, or build the model with keras.Sequential or "
        "keras.Model(inputs, outputs), where it is adapted on the training rows"
    )
