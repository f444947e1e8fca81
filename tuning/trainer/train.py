"""`train`: `model.fit` without Python in the loop over batches.

Whatever the compiled epoch cannot do in the same way goes to `model.fit`; `why_fit` says why.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tuning.data.dataset import Array
from tuning.errors import StudyError
from tuning.trainer.compiled import CompiledSteps, forget, repays_xla
from tuning.trainer.native_steps import NativeSteps, steps_for
from tuning.trainer.reasons import Visibility, looks_of, why_fit

Steps: TypeAlias = CompiledSteps | NativeSteps
_turn = (
    threading.RLock()
)  # fits of equal structure share their graphs: in threads one trains an epoch at a time


@dataclass(frozen=True, eq=False)
class Rows:
    """Aligned rows: X, y and optional weights.

    Raises:
        ValueError: There are not as many of each.
    """

    X: Array
    y: Array
    weight: Array | None = None

    def __post_init__(self) -> None:
        counts = [
            len(array) for array in self.arrays if hasattr(array, "shape")
        ]  # several outputs come as a list
        if len(set(counts)) > 1:
            raise ValueError(
                f"X, y and sample_weight belong together row by row; received {counts} rows of them"
            )

    @property
    def arrays(self) -> tuple[Array, ...]:
        """X, y and the weights where there are any."""
        return (self.X, self.y) if self.weight is None else (self.X, self.y, self.weight)

    def tensors(self) -> tuple[tf.Tensor, ...]:
        """X, y and the weights on the device, as `fit` would cast them."""
        return tuple(map(on_device, self.arrays))


@dataclass(eq=False)
class Fit:
    """One training run that can be advanced epoch by epoch: iterate `epochs()`; each item is an
    epoch that has ended.

    Where a callback changes a scalar setting of the optimizer (momentum, weight_decay, …), it
    counts from then on; `fit` has written the first value into its graph.

    Attributes:
        model: Built and compiled; holds the trained weights when the iteration has ended.
        rows: The training part.
        validation: Scored after each epoch, or None.
        epochs_total: Train until this many epochs are done.
        fits: Fits of equal structure that this is the first of, for all anybody knows: the folds of
            its trial.
        initial_epoch: Epochs done before.
        began_at: The epoch an interrupted training began at, where this one takes it up; it decides
            on XLA as that did.
        batch_size: Rows a step; the last batch may be smaller.
        callbacks: Keras callbacks. One with a method `take_predictions` is given the validation
            predictions of each epoch before `on_epoch_end`, so that nobody predicts twice.
        class_weight: Weight of each class number, multiplied into the row weights.
        shuffle: Draw a new order of the rows each epoch, from `seed` and the epoch's number alone.
        trainer: "auto", "compiled" (an error where it cannot be) or "fit".
        notes: Why `model.fit` was used, where it was.
        history: As `model.fit` returns it, when the iteration has ended.
    """

    model: keras.Model
    rows: Rows
    validation: Rows | None = None
    epochs_total: int = 1
    fits: int = 1
    initial_epoch: int = 0
    began_at: int | None = None
    batch_size: int = 32
    callbacks: Sequence[keras.callbacks.Callback] = ()
    class_weight: Mapping[int, float] | None = None
    shuffle: bool = True
    seed: int = 0
    trainer: str = "auto"
    notes: list[str] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    _steps: Steps | None = None

    @property
    def reason(self) -> str:
        """Why this training goes to `model.fit`; "" where it is compiled."""
        return (
            "trainer='fit'"
            if self.trainer == "fit"
            else why_fit(self.model, self.rows.arrays, self.callbacks)
        )

    def sync(self) -> None:
        """Put the state of an epoch that has ended into `model`, which is the compiled step's until
        the end.
        """
        if self._steps is not None:
            self._steps.release(self.model)

    def epochs(self) -> Generator[int, None, None]:
        """Train; yield each epoch's number (from 1) when it has ended, callbacks included.

        Raises:
            StudyError: `trainer="compiled"` and the model cannot be trained so; says why.
        """
        reason = self.reason
        if reason and self.trainer == "compiled":
            raise StudyError(
                f"the compiled trainer cannot train this model: {reason}; use trainer='auto'"
            )
        rows = _weighted(self.rows, self.class_weight)
        if reason:
            if self.trainer != "fit":
                self.notes.append(f"trained by model.fit: {reason}")
            yield from self._keras(rows)
            return
        fit = self._compiled(rows)
        try:
            while True:
                with _turn:
                    done = next(fit, None)
                if done is None:
                    return
                yield done
        finally:
            with _turn:
                fit.close()

    def _compiled(self, rows: Rows) -> Generator[int, None, None]:
        arrays, validation = (
            rows.tensors(),
            None if self.validation is None else self.validation.tensors(),
        )
        planned = self.epochs_total - (
            self.initial_epoch if self.began_at is None else self.began_at
        )
        steps = self._steps = steps_for(self.model, arrays, self.batch_size)
        xla = repays_xla(self.model, len(self.rows.y), self.batch_size, planned * self.fits)
        looks = looks_of(self.callbacks)
        watched = self.model if looks == "all" or steps.graph_model is None else steps.graph_model
        callbacks = self._callback_list(watched)
        logs: dict[str, Any] = {}
        watched._initial_epoch = None
        around: Visibility = (
            "all" if watched is self.model else looks
        )  # where callbacks may put other weights into it
        try:
            steps.show(self.model, around)
            callbacks.on_train_begin()
            first = (
                watched._initial_epoch or self.initial_epoch
            )  # BackupAndRestore says where it left off
            for epoch in range(first, self.epochs_total):
                steps.show(self.model, looks)
                watched.stop_training = False
                callbacks.on_epoch_begin(epoch)
                steps.bind(self.model)
                logs = self._train_once(steps, epoch, arrays, xla=xla)
                logs |= self._validate(steps, validation, callbacks, looks)
                self._end_on_nan(logs)
                steps.show(self.model, looks)
                callbacks.on_epoch_end(epoch, logs)
                stop = watched.stop_training
                yield epoch + 1
                if stop:
                    break
            steps.show(self.model, around)
            watched.optimizer.finalize_variable_values(watched.trainable_weights)
            callbacks.on_train_end(logs)
        finally:
            if steps.refused:
                self.notes.append(f"compiled without XLA, which refused: {steps.refused}")
            steps.release(self.model)
            self._steps = None
            if steps.graph_model is not None:
                steps.graph_model.history = (
                    None  # a callback, which would keep the user's model alive
                )
            callbacks.set_model(self.model)
        self.history = _history(callbacks)

    def _train_once(
        self, steps: Steps, epoch: int, arrays: tuple[tf.Tensor, ...], *, xla: bool
    ) -> dict[str, Any]:
        rows = len(self.rows.y)
        order = (
            epoch_order(rows, self.seed, epoch) if self.shuffle else np.arange(rows, dtype=np.int32)
        )
        try:
            return _numbers(steps.run_epoch(order, arrays, self.batch_size, xla=xla and epoch > 0))
        except (tf.errors.OpError, ValueError, TypeError):
            if isinstance(steps, CompiledSteps):
                forget(steps)
            raise

    def _validate(
        self,
        steps: Steps,
        arrays: tuple[tf.Tensor, ...] | None,
        callbacks: keras.callbacks.CallbackList,
        looks: Visibility,
    ) -> dict[str, Any]:
        if arrays is None:
            return {}
        steps.show(self.model, looks)  # SwapEMAWeights changes the weights for the validation
        callbacks.on_test_begin()
        steps.bind(self.model)
        logs, predicted = steps.evaluate(*arrays)
        numbers = _numbers(logs)
        steps.show(self.model, looks)
        callbacks.on_test_end(numbers)
        for callback in self.callbacks:
            if hasattr(callback, "take_predictions"):
                callback.take_predictions(predicted.numpy())
        return {f"val_{name}": value for name, value in numbers.items()}

    def _end_on_nan(self, logs: dict[str, Any]) -> None:
        for callback in self.callbacks:
            if isinstance(callback, keras.callbacks.TerminateOnNaN):
                callback.on_batch_end(-1, logs)

    def _keras(self, rows: Rows) -> Generator[int, None, None]:
        validation = None if self.validation is None else self.validation.arrays
        done: list[int] = []
        marker = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: done.append(epoch + 1)
        )
        keras.utils.set_random_seed(
            self.seed
        )  # Keras draws the order of the rows from its global state
        history = self.model.fit(
            rows.X,
            rows.y,
            sample_weight=rows.weight,
            validation_data=validation,
            epochs=self.epochs_total,
            initial_epoch=self.initial_epoch,
            batch_size=self.batch_size,
            callbacks=[*self.callbacks, marker],
            shuffle=self.shuffle,
            verbose=0,
        )
        self.history = dict(history.history)
        yield from done

    def _callback_list(self, graph_model: keras.Model) -> keras.callbacks.CallbackList:
        steps = -(-len(self.rows.y) // self.batch_size)
        return keras.callbacks.CallbackList(
            list(self.callbacks),
            add_history=True,
            model=graph_model,
            verbose=0,
            epochs=self.epochs_total,
            steps=steps,
        )


def train(model: keras.Model, X: Array, y: Array, **settings: Any) -> dict[str, list[float]]:
    """Train `model` as `model.fit(X, y, …)` does, the loop over batches compiled; return its
    history.

    Args:
        model: Built and compiled `keras.Model`.
        X: `(rows, *input_shape)`.
        y: `(rows, …)` as the model's loss takes it.
        **settings: `epochs=1`, `batch_size=32`, `sample_weight=None` `(rows,)`,
        `class_weight=None`,
            `validation_data=None` (X, y) or (X, y, weights), `callbacks=()`, `shuffle=True`,
            `seed=0`, `initial_epoch=0`, `trainer="auto"`.

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


def epoch_order(rows: int, seed: int, epoch: int) -> Array:
    """Return the order of the rows in one epoch; it depends on nothing else, so a resumed trial is
    the same trial.
    """
    return np.random.default_rng([seed, epoch]).permutation(rows).astype(np.int32)


_device: dict[int, tuple[weakref.ref[Any], tf.Tensor]] = {}


def on_device(array: Array) -> tf.Tensor:
    """Return the array as a tensor, floats as Keras' floatx; a read-only array is moved to the
    device once in its life.

    One that can be written to may have changed since.
    """
    found = _device.get(id(array))
    if found is not None and found[0]() is array:
        return found[1]
    key = id(array)
    tensor = tf.constant(
        array.astype(keras.config.floatx(), copy=False) if array.dtype.kind == "f" else array
    )
    if not array.flags.writeable:
        _device[key] = (weakref.ref(array, lambda _: _device.pop(key, None)), tensor)
    return tensor


def _weighted(rows: Rows, class_weight: Mapping[int, float] | None) -> Rows:
    if class_weight is None:
        return rows
    labels = (
        rows.y.argmax(axis=1) if rows.y.ndim == 2 and rows.y.shape[1] > 1 else rows.y.reshape(-1)
    )
    weight = np.array([class_weight.get(int(label), 1.0) for label in labels], dtype="float32")
    return Rows(
        rows.X, rows.y, weight if rows.weight is None else (weight * rows.weight).astype("float32")
    )


def _history(callbacks: keras.callbacks.CallbackList) -> dict[str, list[float]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return dict(callbacks._history.history)


def _numbers(logs: Mapping[str, tf.Tensor]) -> dict[str, Any]:
    """Return floats; a metric with several values (F1 a class) stays an array, as in `fit`."""
    return {
        name: float(value) if value.shape.rank == 0 else value.numpy()
        for name, value in logs.items()
    }
