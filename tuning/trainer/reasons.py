"""Why a training goes to `model.fit`, and which callbacks look at the model that the user holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import keras
import numpy as np

from tuning.data.dataset import Array
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
_OWN_STEPS = ("fit", "train_step", "test_step", "make_train_function", "make_test_function")
_SAVERS = (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore)
_LOOK_AT_THEIR_OWN = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.CSVLogger,
    keras.callbacks.TerminateOnNaN,
    keras.callbacks.History,
)


def why_fit(model: keras.Model, arrays: Sequence[Array], callbacks: Sequence[Any]) -> str:
    """Return why this training needs `model.fit`, or "" where the compiled epoch does the same."""
    for name in _OWN_STEPS:
        if getattr(type(model), name) is not getattr(keras.Model, name) or name in vars(model):
            return f"{type(model).__name__} has its own {name}"
    if model.run_eagerly:
        return "the model was compiled with run_eagerly=True"
    if model.distribute_strategy.num_replicas_in_sync > 1:
        return f"the model was built under {type(model.distribute_strategy).__name__}"

    for callback in callbacks:
        if hook := _batch_hook(callback):
            return f"callback {type(callback).__name__} acts on each batch ({hook})"
    if not all(map(_is_plain, arrays)):
        return "the data are not plain numeric arrays"

    if isinstance(model, keras.Sequential):  # one input and one output, also before it is built
        return ""
    for name in ("inputs", "outputs"):
        if len(getattr(model, name, None) or []) != 1:
            return "the model does not say that it has one input and one output"
    return ""


def _is_plain(array: Any) -> bool:
    is_array = isinstance(array, np.ndarray | LazyArray)
    return is_array and array.dtype.kind in "fiub"


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
    if isinstance(callback, keras.callbacks.TerminateOnNaN):
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


def _looks_at_weights(callback: Any) -> bool:
    stops_early = isinstance(callback, keras.callbacks.EarlyStopping)
    return stops_early or getattr(callback, "looks_at_weights", False)
