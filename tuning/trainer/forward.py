"""`predict`: what `model.predict` returns, without its start-up."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tuning.data.arrays import Arrays
from tuning.data.kinds.stream_array import StreamPart, stream_part
from tuning.trainer.compiled import CHUNK
from tuning.trainer.graphs import cut
from tuning.trainer.outputs import by_output
from tuning.trainer.rows import as_fit_takes, by_name
from tuning.trainer.streams import PREDICTED_ROWS, check_targets

_Forward: TypeAlias = Callable[[Any], Any]

_CHEAP_LAYERS = (
    keras.layers.InputLayer,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.Activation,
    keras.layers.Flatten,
    keras.layers.BatchNormalization,
)
"""Layers that are a few operations each: called as they are, they cost a fifth of their trace."""


def predict(model: keras.Model, X: Arrays) -> Any:
    """Return `model.predict(X)`, without its start-up of some 50 ms a call.

    Args:
        model: Compiled or not.
        X: One array, or several by the names of the inputs or in the model's order.

    Returns:
        float32 `(rows, *output_shape)`; a mapping of these by output name where there are several
        outputs.
    """
    stream = stream_part(X)
    if stream is not None:
        return _predict_stream(model, stream)
    inputs = as_fit_takes(by_name(X))
    n_rows = len(keras.tree.flatten(inputs)[0])
    forward = _forward_of(model, inputs)
    tensor_of = functools.partial(_tensor, dtype=_float_type(model, inputs))

    chunks = []
    # No rows make one empty chunk, whose output has the right shape.
    for start in range(0, max(n_rows, 1), CHUNK):
        part = cut(inputs, slice(start, start + CHUNK))
        outputs = forward(keras.tree.map_structure(tensor_of, part))
        chunks.append(by_output(model, outputs))
    return _joined(chunks)


def _predict_stream(model: keras.Model, part: StreamPart) -> Any:
    """Return predictions for the rows of a stream, read once from beginning to end."""
    forward: Any = None
    predicted: list[Any] = []
    targets: list[Any] = []
    for batch in part.source.opened(PREDICTED_ROWS):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        forward = forward or _forward_of(model, x)
        predicted.append(by_output(model, forward(x)))
        targets.append(y)
    check_targets(part, keras.tree.map_structure(lambda *ys: np.concatenate(ys), *targets))
    return _joined(predicted)


def _joined(chunks: Sequence[Any]) -> Any:
    """Return predictions under each other, those of several outputs by their names."""
    if isinstance(chunks[0], Mapping):
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    return np.concatenate(chunks)


def _float_type(model: keras.Model, inputs: Any) -> str | None:
    """Return what floats are cast to: the type that a model's only input has, else floatx.

    None: nothing, as one of several inputs takes float64; each input then casts for itself.
    """
    known = getattr(model, "inputs", None) or ()
    types = [str(tensor.dtype) for tensor in known]
    if len(types) == 1 and not keras.tree.is_nested(inputs):
        return types[0]
    return None if "float64" in types else str(keras.config.floatx())


def _tensor(array: Any, dtype: str | None) -> tf.Tensor:
    values = np.asarray(array)  # of windows the rows asked for are made here, and no others
    if dtype is not None and values.dtype.kind == "f":
        values = values.astype(dtype, copy=False)
    return tf.constant(values)


_traces: weakref.WeakKeyDictionary[keras.Model, _Forward] = weakref.WeakKeyDictionary()


def _forward_of(model: keras.Model, inputs: Any) -> _Forward:
    """Return a call of a model: a trace, unless its layers are plain.

    It is the same kind of call each time, as the last bit differs between them.
    """
    is_plain = type(model) is keras.Sequential and not keras.tree.is_nested(inputs)
    if is_plain and all(type(layer) in _CHEAP_LAYERS for layer in model.layers):
        return lambda x: model(x, training=False)
    if model not in _traces:
        _traces[model] = _traced(weakref.ref(model))
    return _traces[model]


def _traced(model: Callable[[], keras.Model | None]) -> Any:
    def forward(x: Any) -> Any:
        return model()(x, training=False)  # type: ignore[misc]

    return tf.function(forward, reduce_retracing=True, autograph=False)
