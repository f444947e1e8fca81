"""`train` and `predict`: `model.fit` and `model.predict` without Python in the loop over batches.

Whatever the compiled epoch cannot do in the same way goes to `model.fit`; `why_fit` says why.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tuning.dataset import Array
from tuning.errors import StudyError
from tuning.training.compiled import CHUNK, CompiledSteps, forget, steps_for

_BATCH_HOOKS = (
    "on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin",
    "on_test_batch_end",
)  # fmt: skip
_OWN_STEPS = ("train_step", "test_step", "make_train_function", "make_test_function")


@dataclass(frozen=True, eq=False)
class Rows:
    """Aligned rows: X, y and optional weights."""

    X: Array
    y: Array
    weight: Array | None = None

    @property
    def arrays(self) -> tuple[Array, ...]:
        """X, y and the weights where there are any."""
        return (self.X, self.y) if self.weight is None else (self.X, self.y, self.weight)


@dataclass(eq=False)
class Fit:
    """One training run that can be advanced epoch by epoch: iterate `epochs()`; each item is an epoch that has ended.

    Attributes:
        model: Built and compiled; holds the trained weights when the iteration has ended.
        rows: The training part.
        validation: Scored after each epoch, or None.
        epochs_total: Train until this many epochs are done.
        initial_epoch: Epochs done before.
        batch_size: Rows a step; the last batch may be smaller.
        callbacks: Keras callbacks. One with a method `take_predictions` is given the validation predictions of each
            epoch before `on_epoch_end`, so that nobody predicts twice.
        class_weight: Weight of each class number, multiplied into the row weights.
        shuffle: Draw a new order of the rows each epoch, from `seed` and the epoch's number alone.
        trainer: "auto", "compiled" (an error where it cannot be) or "fit".
        notes: Why `model.fit` was used, where it was.
    """

    model: keras.Model
    rows: Rows
    validation: Rows | None = None
    epochs_total: int = 1
    initial_epoch: int = 0
    batch_size: int = 32
    callbacks: Sequence[keras.callbacks.Callback] = ()
    class_weight: Mapping[int, float] | None = None
    shuffle: bool = True
    seed: int = 0
    trainer: str = "auto"
    notes: list[str] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)

    def epochs(self) -> Generator[int, None, None]:
        """Train; yield each epoch's number (from 1) when it has ended, callbacks included.

        Raises:
            StudyError: `trainer="compiled"` and the model cannot be trained so; says why.
        """
        self.rows = _weighted(self.rows, self.class_weight)
        reason = "trainer='fit'" if self.trainer == "fit" else why_fit(self.model, self.rows, self.callbacks)
        if reason and self.trainer == "compiled":
            raise StudyError(f"the compiled trainer cannot train this model: {reason}; use trainer='auto'")
        if not reason:
            try:
                yield from self._compiled()
                return
            except _Refused as refused:
                reason = f"XLA refused it: {refused}"
        if self.trainer != "fit":
            self.notes.append(f"trained by model.fit: {reason}")
        yield from self._keras()

    def _compiled(self) -> Generator[int, None, None]:
        arrays = tuple(map(on_device, self.rows.arrays))
        remaining = self.epochs_total - self.initial_epoch
        steps = steps_for(self.model, arrays, self.batch_size, remaining)
        callbacks = self._callback_list(steps.twin)
        steps.bind(self.model)
        logs: dict[str, float] = {}
        steps.twin._initial_epoch = None
        callbacks.on_train_begin()
        try:
            first = steps.twin._initial_epoch or self.initial_epoch  # BackupAndRestore says where it left off
            for epoch in range(first, self.epochs_total):
                steps.bind(self.model)
                steps.twin.stop_training = False
                callbacks.on_epoch_begin(epoch)
                logs = self._train_once(steps, epoch, arrays)
                logs |= self._validate(steps, callbacks)
                self._end_on_nan(logs)
                callbacks.on_epoch_end(epoch, logs)
                stop = steps.twin.stop_training
                yield epoch + 1
                if stop:
                    break
            steps.bind(self.model)
            steps.twin.optimizer.finalize_variable_values(steps.twin.trainable_weights)
            callbacks.on_train_end(logs)
        finally:
            steps.release(self.model)
            callbacks.set_model(self.model)
        self.history = _history(callbacks)

    def _train_once(self, steps: CompiledSteps, epoch: int, arrays: tuple[tf.Tensor, ...]) -> dict[str, float]:
        order = epoch_order(len(self.rows.y), self.seed, epoch) if self.shuffle else np.arange(len(self.rows.y))
        try:
            logs = steps.run_epoch(tf.constant(order, tf.int32), *arrays)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, ValueError) as error:
            forget(steps)
            if steps.xla and epoch == self.initial_epoch:  # nothing was trained: compilation comes first
                raise _Refused(str(error).splitlines()[0]) from error
            raise
        return {name: float(value) for name, value in logs.items()}

    def _validate(self, steps: CompiledSteps, callbacks: keras.callbacks.CallbackList) -> dict[str, float]:
        if self.validation is None:
            return {}
        callbacks.on_test_begin()
        logs, predicted = steps.evaluate(*map(on_device, self.validation.arrays))
        floats = {name: float(value) for name, value in logs.items()}
        callbacks.on_test_end(floats)
        for callback in self.callbacks:
            if hasattr(callback, "take_predictions"):
                callback.take_predictions(predicted.numpy())
        return {f"val_{name}": value for name, value in floats.items()}

    def _end_on_nan(self, logs: dict[str, float]) -> None:
        for callback in self.callbacks:
            if isinstance(callback, keras.callbacks.TerminateOnNaN):
                callback.on_batch_end(-1, logs)

    def _keras(self) -> Generator[int, None, None]:
        validation = None if self.validation is None else self.validation.arrays
        done: list[int] = []
        marker = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: done.append(epoch + 1))
        keras.utils.set_random_seed(self.seed)  # Keras draws the order of the rows from its global state
        history = self.model.fit(
            self.rows.X, self.rows.y, sample_weight=self.rows.weight, validation_data=validation,
            epochs=self.epochs_total, initial_epoch=self.initial_epoch, batch_size=self.batch_size,
            callbacks=[*self.callbacks, marker], shuffle=self.shuffle, verbose=0,
        )  # fmt: skip
        self.history = {name: list(map(float, values)) for name, values in history.history.items()}
        yield from done

    def _callback_list(self, twin: keras.Model) -> keras.callbacks.CallbackList:
        steps = -(-len(self.rows.y) // self.batch_size)
        return keras.callbacks.CallbackList(
            list(self.callbacks), add_history=True, model=twin, verbose=0, epochs=self.epochs_total, steps=steps
        )


class _Refused(Exception):
    """XLA does not compile this model."""


def train(model: keras.Model, X: Array, y: Array, **settings: Any) -> dict[str, list[float]]:
    """Train `model` as `model.fit(X, y, …)` does, the loop over batches compiled; return its history.

    Args:
        model: Built and compiled `keras.Model`.
        X: `(rows, *input_shape)`.
        y: `(rows, …)` as the model's loss takes it.
        **settings: `epochs=1`, `batch_size=32`, `sample_weight=None` `(rows,)`, `class_weight=None`,
            `validation_data=None` (X, y) or (X, y, weights), `callbacks=()`, `shuffle=True`, `seed=0`,
            `initial_epoch=0`, `trainer="auto"`.

    Returns:
        One list of floats a metric, one entry an epoch, as `model.fit(…).history`.
    """
    validation = settings.pop("validation_data", None)
    fit = Fit(
        model,
        Rows(X, y, settings.pop("sample_weight", None)),
        validation=None if validation is None else Rows(*validation),
        epochs_total=settings.pop("epochs", 1),
        **settings,
    )
    for _ in fit.epochs():
        pass
    return fit.history


def predict(model: keras.Model, X: Array) -> Array:
    """Return `model.predict(X)`, without its start-up of some 50 ms a call: `(rows, *output_shape)` float32."""
    forward = _forward.get(model)
    if forward is None:
        forward = _forward[model] = _traced(weakref.ref(model))
    parts = [forward(tf.constant(X[i : i + CHUNK])).numpy() for i in range(0, len(X), CHUNK)]
    return np.concatenate(parts)


_forward: weakref.WeakKeyDictionary[keras.Model, Any] = weakref.WeakKeyDictionary()


def _traced(model: Callable[[], keras.Model | None]) -> Any:
    return tf.function(lambda x: model()(x, training=False), reduce_retracing=True)  # type: ignore[misc]


def why_fit(model: keras.Model, rows: Rows, callbacks: Sequence[keras.callbacks.Callback]) -> str:
    """Return why this training needs `model.fit`, or "" where the compiled epoch does the same."""
    own = [name for name in _OWN_STEPS if getattr(type(model), name) is not getattr(keras.Model, name)]
    if own:
        return f"{type(model).__name__} has its own {own[0]}"
    if model.run_eagerly:
        return "the model was compiled with run_eagerly=True"
    if model.distribute_strategy.num_replicas_in_sync > 1:
        return "the model was built under a distribution strategy"
    for callback in callbacks:
        if hook := _batch_hook(callback):
            return f"callback {type(callback).__name__} acts on each batch ({hook})"
    if len(model.inputs or []) != 1 or len(model.outputs or []) != 1:
        return "the model has not one input and one output"
    if not all(isinstance(a, np.ndarray) and a.dtype.kind in "fiub" for a in rows.arrays):
        return "the data are not plain numeric arrays"
    return ""


def _batch_hook(callback: keras.callbacks.Callback) -> str:
    """Return the name of a hook by which the callback acts on batches, or ""."""
    if isinstance(callback, keras.callbacks.TerminateOnNaN):
        return ""  # served once an epoch: a loss that is not finite stays so in the epoch's mean
    if getattr(callback, "save_freq", None) == "epoch":
        return ""  # ModelCheckpoint and BackupAndRestore define the hook but wait for the epoch's end
    own = (h for h in _BATCH_HOOKS if getattr(type(callback), h) is not getattr(keras.callbacks.Callback, h))
    return next(own, next((h for h in _BATCH_HOOKS if h in vars(callback)), ""))


def epoch_order(rows: int, seed: int, epoch: int) -> Array:
    """Return the order of the rows in one epoch; it depends on nothing else, so a resumed trial is the same trial."""
    return np.random.default_rng([seed, epoch]).permutation(rows).astype(np.int32)


_device: dict[int, tuple[weakref.ref[Any], tf.Tensor]] = {}


def on_device(array: Array) -> tf.Tensor:
    """Return the array as a tensor; the same array object is moved to the device once in its life."""
    found = _device.get(id(array))
    if found is not None and found[0]() is array:
        return found[1]
    key = id(array)
    tensor = tf.constant(array)
    _device[key] = (weakref.ref(array, lambda _: _device.pop(key, None)), tensor)
    return tensor


def _weighted(rows: Rows, class_weight: Mapping[int, float] | None) -> Rows:
    if class_weight is None:
        return rows
    labels = rows.y.argmax(axis=1) if rows.y.ndim == 2 and rows.y.shape[1] > 1 else rows.y.reshape(-1)
    weight = np.array([class_weight.get(int(label), 1.0) for label in labels], dtype="float32")
    return Rows(rows.X, rows.y, weight if rows.weight is None else (weight * rows.weight).astype("float32"))


def _history(callbacks: keras.callbacks.CallbackList) -> dict[str, list[float]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return {name: [float(v) for v in values] for name, values in callbacks._history.history.items()}
