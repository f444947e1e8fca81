"""Why a training goes to `model.fit`, and which callbacks look at the model that the user holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import keras
import numpy as np

from tuning.data.dataset import Array

Visibility: TypeAlias = Literal["all", "weights", "nothing"]

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
    own = [
        n
        for n in _OWN_STEPS
        if getattr(type(model), n) is not getattr(keras.Model, n) or n in vars(model)
    ]
    if own:
        return f"{type(model).__name__} has its own {own[0]}"
    if model.run_eagerly:
        return "the model was compiled with run_eagerly=True"
    if model.distribute_strategy.num_replicas_in_sync > 1:
        return f"the model was built under {type(model.distribute_strategy).__name__}"
    for callback in callbacks:
        if hook := _batch_hook(callback):
            return f"callback {type(callback).__name__} acts on each batch ({hook})"
    if not all(isinstance(a, np.ndarray) and a.dtype.kind in "fiub" for a in arrays):
        return "the data are not plain numeric arrays"
    if isinstance(model, keras.Sequential):  # one input and one output, also before it is built
        return ""
    if (
        len(getattr(model, "inputs", None) or []) != 1
        or len(getattr(model, "outputs", None) or []) != 1
    ):
        return "the model does not say that it has one input and one output"
    return ""


def _batch_hook(callback: Any) -> str:
    """Return the name of a hook by which the callback acts on batches, or ""."""
    plain: Any = keras.callbacks.Callback
    if isinstance(callback, keras.callbacks.TerminateOnNaN):
        plain = (
            keras.callbacks.TerminateOnNaN
        )  # served once an epoch: a loss that is not finite stays so in the mean
    for saver in _SAVERS:
        if isinstance(callback, saver) and callback.save_freq == "epoch":
            plain = saver  # defines the hook, but waits for the epoch's end
    own = (
        hook for hook in _BATCH_HOOKS if getattr(type(callback), hook) is not getattr(plain, hook)
    )
    return next(own, next((hook for hook in _BATCH_HOOKS if hook in vars(callback)), ""))


def looks_of(callbacks: Sequence[Any]) -> Visibility:
    """Return what must be up to date at an epoch's end: all of the user's model, weights alone, or
    nothing.

    A callback may hold the user's own model, as a lambda in a notebook does. Some of Keras' and
    ours only know `self.model`, which may be another one or lag behind; that saves copies at each
    epoch. Those that save it are not among them: the compiled step's has settings of its own in its
    optimizer, and any width.
    """
    if any(
        type(c) not in _LOOK_AT_THEIR_OWN and not getattr(c, "knows_only_its_model", False)
        for c in callbacks
    ):
        return "all"
    weights = any(
        isinstance(c, keras.callbacks.EarlyStopping) or getattr(c, "looks_at_weights", False)
        for c in callbacks
    )
    return "weights" if weights else "nothing"
