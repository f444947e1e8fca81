"""`predict`: what `model.predict` returns, without its start-up."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tuning.data.arrays import Arrays, only
from tuning.data.stream_array import StreamPart, stream_part
from tuning.trainer.compiled import CHUNK
from tuning.trainer.streams import PREDICTED_ROWS, check_targets

_Forward: TypeAlias = Callable[[tf.Tensor], tf.Tensor]

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

    Returns:
        float32 `(rows, *output_shape)`; a mapping of these by output name where there are several
        outputs.
    """
    part = stream_part(X)
    if part is not None:
        return _predict_stream(model, part)
    X = only(X)
    if X.dtype.kind == "f":
        inputs = getattr(model, "inputs", None)
        X = X.astype(inputs[0].dtype if inputs else keras.config.floatx(), copy=False)
    forward = _forward_of(model)
    # No rows make one empty chunk, whose output has the right shape.
    starts = range(0, max(len(X), 1), CHUNK)
    chunks = []
    for start in starts:
        rows = np.asarray(X[start : start + CHUNK])  # of windows these and no others are made
        chunks.append(forward(tf.constant(rows)).numpy())
    return np.concatenate(chunks)


def _predict_stream(model: keras.Model, part: StreamPart) -> Any:
    """Return predictions for the rows of a stream, read once from beginning to end."""
    forward = _forward_of(model)
    predicted: list[Any] = []
    targets: list[Any] = []
    for batch in part.source.opened(PREDICTED_ROWS):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        predicted.append(np.asarray(forward(x)))
        targets.append(y)
    check_targets(part, keras.tree.map_structure(lambda *ys: np.concatenate(ys), *targets))
    return np.concatenate(predicted)


_traces: weakref.WeakKeyDictionary[keras.Model, _Forward] = weakref.WeakKeyDictionary()


def _forward_of(model: keras.Model) -> _Forward:
    """Return a call of a model: a trace, unless its layers are plain.

    It is the same kind of call each time, as the last bit differs between them.
    """
    is_sequential = type(model) is keras.Sequential
    if is_sequential and all(type(layer) in _CHEAP_LAYERS for layer in model.layers):
        return lambda x: model(x, training=False)
    if model not in _traces:
        _traces[model] = _traced(weakref.ref(model))
    return _traces[model]


def _traced(model: Callable[[], keras.Model | None]) -> Any:
    def forward(x: tf.Tensor) -> tf.Tensor:
        return model()(x, training=False)  # type: ignore[misc]

    return tf.function(forward, reduce_retracing=True, autograph=False)
