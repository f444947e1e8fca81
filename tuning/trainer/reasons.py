"""Why a training goes to `model.fit`, and which callbacks look at the model that the user holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tuning.data.lazy import LazyArray

Visibility: TypeAlias = Literal["all", "weights", "nothing"]
"""What of the user's model must be up to date when an epoch ends."""

_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)
_OWN_LOOPS = ("fit", "evaluate", "make_train_function", "make_test_function")
_SAVERS = (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore)
_LOOK_AT_THEIR_OWN = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.CSVLogger,
    keras.callbacks.TerminateOnNaN,
    keras.callbacks.History,
)


def why_fit(model: keras.Model, arrays: Any, callbacks: Sequence[Any]) -> str:
    """Return why this training needs `model.fit`, or "" where the compiled epoch does the same.

    Args:
        model: Compiled.
        arrays: X, y and perhaps weights, each an array or several nested.
        callbacks: Of the training.
    """
    for name in _OWN_LOOPS:
        if has_own(model, name):
            return f"{type(model).__name__} has its own {name}"
    if not model.compiled:
        return "the model is not compiled"
    if model.run_eagerly:
        return "the model was compiled with run_eagerly=True"
    if tf.config.functions_run_eagerly():
        return "TensorFlow was told to run functions eagerly"
    if keras.config.max_epochs() or keras.config.max_steps_per_epoch():
        return "keras.config limits the epochs or steps of each fit"
    if model.distribute_strategy.num_replicas_in_sync > 1:
        return f"the model was built under {type(model.distribute_strategy).__name__}"

    for callback in callbacks:
        if hook := _batch_hook(callback):
            return f"callback {type(callback).__name__} acts on each batch ({hook})"
    if not all(map(_is_plain, keras.tree.flatten(arrays))):
        return "the data are not plain arrays of numbers or texts"
    return ""


def has_own(model: keras.Model, method: str) -> bool:
    """Whether a model does something in another way than `keras.Model`."""
    return getattr(type(model), method) is not getattr(keras.Model, method) or method in vars(model)


def _is_plain(array: Any) -> bool:
    """Whether a tensor can be made of the array, as `fit` would make it."""
    if isinstance(array, tf.Tensor):
        return True
    if isinstance(array, LazyArray):
        return array.dtype.kind in "fiub"
    if not isinstance(array, np.ndarray) or not array.ndim:
        return False
    if array.dtype.kind == "O":
        return all(isinstance(value, str) for value in array.flat)
    return array.dtype.kind in "fiubUS"


def _batch_hook(callback: Any) -> str:
    """Return the name of a hook by which the callback acts on batches, or ""."""
    plain = _base_that_waits(callback)
    for hook in _BATCH_HOOKS:
        if getattr(type(callback), hook) is not getattr(plain, hook):
            return hook
    return next((hook for hook in _BATCH_HOOKS if hook in vars(callback)), "")


def _base_that_waits(callback: Any) -> Any:
    """Return the class of Keras' whose hooks do nothing that cannot wait for the epoch's end."""
    for saver in _SAVERS:
        if isinstance(callback, saver) and callback.save_freq == "epoch":
            return saver
    if isinstance(callback, keras.callbacks.TerminateOnNaN) and not callback.raise_error:
        # Served once an epoch: a loss that is not finite stays so in the mean.
        return keras.callbacks.TerminateOnNaN
    return keras.callbacks.Callback


def looks_of(callbacks: Sequence[Any]) -> Visibility:
    """Return what must be up to date at an epoch's end: all of the user's model, weights, nothing.

    A callback may hold the user's own model, as a lambda in a notebook does. Some of Keras' and
    ours only know `self.model`, which may be another one or lag behind; that saves copies at each
    epoch. Those that save it are not among them: the compiled step's has settings of its own in its
    optimizer, and any width.
    """
    for callback in callbacks:
        knows_only_its_model = getattr(callback, "knows_only_its_model", False)
        if type(callback) not in _LOOK_AT_THEIR_OWN and not knows_only_its_model:
            return "all"
    return "weights" if any(map(_looks_at_weights, callbacks)) else "nothing"


def looks_at_metrics(callbacks: Sequence[Any]) -> bool:
    """Whether a callback may ask its model for its metrics.

    Some of Keras' do so to learn whether more of one is better.
    """
    if looks_of(callbacks) == "all":
        return True
    return any(_finds_out_direction(callback) for callback in callbacks)


def _finds_out_direction(callback: Any) -> bool:
    is_loss = getattr(callback, "monitor", "loss").removeprefix("val_") == "loss"
    return getattr(callback, "mode", None) == "auto" and not is_loss


def _looks_at_weights(callback: Any) -> bool:
    stops_early = isinstance(callback, keras.callbacks.EarlyStopping)
    return stops_early or getattr(callback, "looks_at_weights", False)
