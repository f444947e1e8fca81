"""The devices one trial trains on, as TensorFlow sees them inside its worker."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import tensorflow as tf

from tuning.errors import MissingError


def split_cpu(gpus_per_trial: int) -> None:
    """Let logical CPU devices stand in for the GPUs of `TUNING_DEVICES` where there are none.

    Must be called before TensorFlow touches a device; does nothing when they are there already.

    Raises:
        MissingError: TensorFlow runs already with fewer devices.
    """
    if gpus_per_trial == 1 or not os.environ.get("TUNING_DEVICES"):
        return
    if tf.config.list_physical_devices("GPU"):
        return

    cpu = tf.config.list_physical_devices("CPU")[0]
    configured = tf.config.get_logical_device_configuration(cpu) or ()
    if len(configured) >= gpus_per_trial:
        return
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * gpus_per_trial
        )
    except RuntimeError as error:
        raise MissingError(
            f"gpus_per_trial={gpus_per_trial}: the CPU cannot be split any more: {error}"
        ) from error


def strategy_scope(gpus_per_trial: int) -> AbstractContextManager[Any]:
    """Return the scope a trial's model is built under: none for one device, else a strategy's.

    The devices of the `MirroredStrategy` are the worker's GPUs; where it has none, TensorFlow's
    logical CPU devices stand in.

    Raises:
        MissingError: TensorFlow sees fewer devices than the trial needs.
    """
    if gpus_per_trial == 1:
        return nullcontext()

    split_cpu(gpus_per_trial)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < gpus_per_trial:
        raise MissingError(
            f"gpus_per_trial={gpus_per_trial}, "
            f"but TensorFlow sees {len(devices)} device(s) in the worker"
        )

    names = [device.name for device in devices[:gpus_per_trial]]
    scope: AbstractContextManager[Any] = tf.distribute.MirroredStrategy(names).scope()
    return scope
