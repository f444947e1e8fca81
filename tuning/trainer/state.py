"""All that training changes in a model: weights, random states, optimizer variables.

Metrics are left out: they are reset each epoch. The global random states are no part of it:
`randomness_kept` leaves them as they were.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tuning.data.dataset import Array
from tuning.trainer.keras_internals import global_seeds_kept


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Copy all that training changes; Keras' own `assign` takes four times as long."""
    for theirs, ours in zip(_state_variables(source), _state_variables(target), strict=True):
        tf.raw_ops.AssignVariableOp(resource=ours.value.handle, value=_tensor(theirs))


def state_arrays(model: keras.Model) -> list[Array]:
    """Return all that training changes, for a checkpoint."""
    return [keras.ops.convert_to_numpy(variable) for variable in _state_variables(model)]


def load_state(model: keras.Model, arrays: list[Array]) -> None:
    """Put back what `state_arrays` returned, into a model of equal structure.

    Raises:
        ValueError: The arrays have other shapes than the model's variables.
    """
    variables = _state_variables(model)
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [array.shape for array in arrays]:
        raise ValueError("it was kept from a model of another structure")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def read(variable: Any) -> Array:
    """Return a variable's value, whose memory may be the variable's."""
    return np.asarray(_tensor(variable))


def assign(variable: Any, values: Any) -> None:
    """Set a variable to an array of its shape, or a number."""
    handle = variable.value.handle
    value = tf.constant(values, variable.value.dtype)
    tf.raw_ops.AssignVariableOp(resource=handle, value=value)


@contextmanager
def randomness_kept() -> Iterator[None]:
    """Afterwards Python, NumPy, Keras and TensorFlow draw as if nothing had been drawn within.

    A caller who has set a seed once and trains several models in a loop then gets what `model.fit`
    gives: models that begin with other weights each.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    try:
        with global_seeds_kept():
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def _state_variables(model: keras.Model) -> list[Any]:
    metrics = {id(variable) for variable in model.metrics_variables}
    variables = [variable for variable in model.variables if id(variable) not in metrics]
    return [*variables, *model.optimizer.variables]


def _tensor(variable: Any) -> tf.Tensor:
    handle = variable.value.handle
    return tf.raw_ops.ReadVariableOp(resource=handle, dtype=variable.value.dtype)
