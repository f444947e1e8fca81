"""The devices one trial trains on, as TensorFlow sees them inside its worker."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import tensorflow as tf

from tuning.errors import MissingError


def strategy_scope(gpus_per_trial: int) -> AbstractContextManager[Any]:
    """Return the scope a trial's model is built under: nothing for one device, else a `MirroredStrategy`.

    The devices are the worker's GPUs; where it has none, TensorFlow's logical CPU devices stand in.

    Raises:
        MissingError: TensorFlow sees fewer devices than the trial needs.
    """
    if gpus_per_trial == 1:
        return nullcontext()
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(found) < gpus_per_trial:
        raise MissingError(f"gpus_per_trial={gpus_per_trial}, but TensorFlow sees {len(found)} device(s) in the worker")
    strategy = tf.distribute.MirroredStrategy([device.name for device in found[:gpus_per_trial]])
    scope: AbstractContextManager[Any] = strategy.scope()
    return scope
