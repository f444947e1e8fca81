"""`predict`: what `model.predict` returns, without its start-up."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tuning.data.dataset import Array
from tuning.trainer.compiled import CHUNK


def predict(model: keras.Model, X: Array) -> Array:
    """Return `model.predict(X)`, without its start-up of some 50 ms a call: `(rows, *output_shape)`
    float32.
    """
    kind = model.inputs[0].dtype if getattr(model, "inputs", None) else keras.config.floatx()
    X = X.astype(kind, copy=False) if X.dtype.kind == "f" else X
    forward = _forward_of(model)
    parts = [
        forward(tf.constant(X[i : i + CHUNK])).numpy() for i in range(0, max(len(X), 1), CHUNK)
    ]
    return np.concatenate(parts)


_forward: weakref.WeakKeyDictionary[keras.Model, Any] = weakref.WeakKeyDictionary()
_AT_ONCE = (
    keras.layers.InputLayer,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.Activation,
    keras.layers.Flatten,
    keras.layers.BatchNormalization,
)
"""Layers that are a few operations each: called as they are, they cost a fifth of their trace."""


def _forward_of(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a call of a model: a trace unless its layers are plain, the same each time, as the
    last bit differs.
    """
    if type(model) is keras.Sequential and all(type(layer) in _AT_ONCE for layer in model.layers):
        return lambda x: model(x, training=False)
    if model not in _forward:
        _forward[model] = _traced(weakref.ref(model))
    return _forward[model]  # type: ignore[no-any-return]


def _traced(model: Callable[[], keras.Model | None]) -> Any:
    return tf.function(lambda x: model()(x, training=False), reduce_retracing=True, autograph=False)  # type: ignore[misc]
