"""All that training changes in a model: weights, random states, optimizer variables; metrics are
reset each epoch.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tuning.data.dataset import Array


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Copy all that training changes; Keras' own `assign` takes four times as long."""
    for a, b in zip(_state(source), _state(target), strict=True):
        tf.raw_ops.AssignVariableOp(resource=b.value.handle, value=_value(a))


def _state(model: keras.Model) -> list[Any]:
    metrics = {id(v) for v in model.metrics_variables}
    return [v for v in model.variables if id(v) not in metrics] + list(model.optimizer.variables)


def state_arrays(model: keras.Model) -> list[Array]:
    """Return all that training changes, for a checkpoint."""
    return [keras.ops.convert_to_numpy(v) for v in _state(model)]


def load_state(model: keras.Model, arrays: list[Array]) -> None:
    """Put back what `state_arrays` returned, into a model of equal structure."""
    variables = _state(model)
    if [tuple(v.shape) for v in variables] != [a.shape for a in arrays]:
        raise ValueError("it was kept from a model of another structure")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def read(variable: Any) -> Array:
    """Return a variable's value, whose memory may be the variable's."""
    return np.asarray(_value(variable))


def assign(variable: Any, values: Any) -> None:
    """Set a variable to an array of its shape, or a number."""
    tf.raw_ops.AssignVariableOp(
        resource=variable.value.handle, value=tf.constant(values, variable.value.dtype)
    )


def _value(variable: Any) -> tf.Tensor:
    return tf.raw_ops.ReadVariableOp(resource=variable.value.handle, dtype=variable.value.dtype)
