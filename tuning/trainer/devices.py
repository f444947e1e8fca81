"""The devices one trial trains on, as TensorFlow sees them inside its worker."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from tuning.data.arrays import Array
from tuning.errors import MissingError, StudyError
from tuning.trainer.keras_internals import learning_rate_of, parts_of
from tuning.trainer.rows import Rows


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


def scale_learning_rate(model: keras.Model, factor: int) -> None:
    """Multiply the learning rate of a compiled model.

    Raises:
        StudyError: It follows a schedule.
    """
    for optimizer in parts_of(model.optimizer):
        if isinstance(learning_rate_of(optimizer), LearningRateSchedule):
            raise StudyError(
                f"scale_lr: the learning rate of {type(optimizer).__name__} follows a schedule; "
                "multiply it in the builder, or leave scale_lr out"
            )
        lr = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        optimizer.learning_rate = lr * factor


class SharedRows(keras.utils.PyDataset):  # type: ignore[misc]
    """Rows of which each replica gets as many in every step: the last few of an epoch are left out.

    A replica's gradient is a mean over its rows, and the replicas' count alike. Where a step gives
    one of them two rows and another one, the three do not count alike, and Keras trains something
    else than on one device. Their order is that of one device.

    Args:
        rows: Of an epoch.
        batch_size: Rows a step, over all replicas.
        n_replicas: As many as devices.
        order: Returns the order of the rows in an epoch, whose number is from 0.

    Raises:
        StudyError: No step can give each as many.
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        n_replicas: int,
        *,
        order: Callable[[int], Array],
    ) -> None:
        super().__init__()
        if batch_size % n_replicas:
            raise StudyError(
                f"batch_size {batch_size} cannot be shared out evenly over {n_replicas} GPUs; use "
                f"a multiple of {n_replicas}, or batch_size_is='per_replica'"
            )
        self.n_left_out = len(rows) % batch_size % n_replicas
        self._rows = rows
        self._batch_size = batch_size
        self._order_of = order
        self._order = order(0)

    def __len__(self) -> int:
        return math.ceil((len(self._rows) - self.n_left_out) / self._batch_size)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        begin = step * self._batch_size
        end = min(begin + self._batch_size, len(self._rows) - self.n_left_out)
        return self._rows.take(self._order[begin:end]).for_fit()

    def begin(self, epoch: int) -> None:
        """Take the order of an epoch, from 0; not at the end of the one before.

        Keras reads ahead, and ends an epoch when it has read it.
        """
        self._order = self._order_of(epoch)


def batches_shared_out(batches: tf.data.Dataset, n_replicas: int) -> tf.data.Dataset:
    """Return batches without the last few rows of those that cannot be shared out evenly."""

    def even(*batch: Any) -> Any:
        return tf.nest.map_structure(
            lambda array: array[: tf.shape(array)[0] // n_replicas * n_replicas], batch
        )

    def has_rows(*batch: Any) -> tf.Tensor:
        return tf.shape(tf.nest.flatten(batch)[0])[0] > 0

    return batches.map(even).filter(has_rows)
