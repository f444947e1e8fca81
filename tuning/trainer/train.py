"""`train`: `model.fit` without Python in the loop over batches.

Whatever the compiled epoch cannot do in the same way goes to `model.fit`; `why_fit` says why.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tuning.data.arrays import Array, Arrays
from tuning.data.kinds.stream_array import stream_part
from tuning.errors import StudyError
from tuning.trainer import keras_internals
from tuning.trainer.compiled import CompiledSteps, build, forget, repays_xla
from tuning.trainer.devices import SharedRows, batches_shared_out
from tuning.trainer.graphs import Tensors
from tuning.trainer.native_steps import NativeSteps, steps_for
from tuning.trainer.outputs import by_output
from tuning.trainer.reasons import Visibility, has_own, looks_at_metrics, looks_of, why_fit
from tuning.trainer.rows import Rows, by_name, class_numbers, on_device
from tuning.trainer.state import randomness_kept
from tuning.trainer.streams import OpenStream, StreamSteps, open_stream, sample_of, stream_steps_for
from tuning.trainer.windows import batches, holds_windows

__all__ = ["Fit", "Rows", "epoch_order", "on_device", "train"]

Steps: TypeAlias = CompiledSteps | NativeSteps | StreamSteps


class _OwnStepRefused(Exception):
    """The model's own step cannot be part of a compiled epoch; says why."""


Logs: TypeAlias = dict[str, Any]
"""An epoch's numbers by name; a metric with several values (F1 a class) has an array."""

_epoch_lock = threading.RLock()
"""Fits of equal structure share their graphs: in threads one trains an epoch at a time."""


@dataclass(eq=False)
class Fit:
    """One training run that can be advanced epoch by epoch: iterate `epochs()`.

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
        class_weight: Weight of each class number, multiplied into the row weights; a label between
            two numbers is rounded, as by `fit`.
        shuffle: Draw a new order of the rows each epoch, from `seed` and the epoch's number alone.
        seed: See `shuffle`.
        trainer: "auto", "compiled" (an error where it cannot be) or "fit".
        notes: Why `model.fit` was used, where it was.
        history: As `model.fit` returns it, when the iteration has ended.
    """

    model: keras.Model
    rows: Rows
    _: KW_ONLY
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
        if self.trainer == "fit":
            return "trainer='fit'"
        if stream_part(self.rows.X) is not None:
            for step in ("train_step", "test_step"):
                if has_own(self.model, step):
                    return f"{type(self.model).__name__} has its own {step}, and the data a stream"
        return why_fit(self.model, self.rows.arrays, self.callbacks)

    def sync(self) -> None:
        """Put the state of the epochs done into `model`.

        Until the end it is the compiled step's.
        """
        if self._steps is not None:
            self._steps.release(self.model)

    def epochs(self) -> Generator[int, None, None]:
        """Train; yield each epoch's number (from 1) when it has ended, callbacks included.

        Raises:
            StudyError: `trainer="compiled"` and the model cannot be trained so; says why.
        """
        reason = self.reason
        rows = _with_class_weights(self.rows, self.class_weight).for_outputs(self.model)
        if not reason:
            arrays = self._tensors(rows)
            try:
                with _epoch_lock:
                    self._steps = self._make_steps(arrays)
            except _OwnStepRefused as error:
                reason = str(error)
        if not reason:
            yield from _an_epoch_at_a_time(self._compiled_epochs(arrays))
            return
        if self.trainer == "compiled":
            raise StudyError(
                f"the compiled trainer cannot train this model: {reason}; use trainer='auto'"
            )

        if self.trainer != "fit":
            self.notes.append(f"trained by model.fit: {reason}")
        yield from self._keras_epochs(rows)

    def _make_steps(self, arrays: Tensors) -> Steps:
        """Return what does the epochs.

        Raises:
            _OwnStepRefused: The model has a step of its own that cannot be part of a larger graph.
        """
        if isinstance(arrays[0], OpenStream):
            return stream_steps_for(self.model, arrays[0], self.batch_size)
        if not has_own(self.model, "train_step") and not has_own(self.model, "test_step"):
            return steps_for(self.model, arrays, self.batch_size)
        try:
            steps = steps_for(self.model, arrays, self.batch_size)
            if isinstance(steps, CompiledSteps):
                steps.trace()
        except Exception as error:  # the user's code: `fit` tells what is wrong in it
            first_line = (str(error).splitlines() or [""])[0][:200]
            raise _OwnStepRefused(
                f"the own step of {type(self.model).__name__} cannot be part of a compiled epoch: "
                f"{type(error).__name__}: {first_line}"
            ) from error
        return steps

    def _scored_rows(self) -> Rows | None:
        return None if self.validation is None else self.validation.for_outputs(self.model)

    def _compiled_epochs(self, arrays: Tensors) -> Generator[int, None, None]:
        scored = self._scored_rows()
        validation = None if scored is None else self._held_out(scored)
        steps = self._steps
        assert steps is not None  # noqa: S101 - `epochs` has just made them
        run = _CompiledRun(fit=self, steps=steps, arrays=arrays, validation=validation)

        logs: Logs = {}
        try:
            for epoch in range(run.begin(), self.epochs_total):
                logs = run.epoch(epoch)
                # Read before the yield: a fit of equal structure may use the model meanwhile.
                stop = run.watched.stop_training
                yield epoch + 1
                if stop:
                    break
            run.end(logs)
        finally:
            if steps.xla_refusal:
                self.notes.append(f"compiled without XLA, which refused: {steps.xla_refusal}")
            run.give_back()
            self._steps = None
        self.history = keras_internals.history_of(run.callbacks)

    def _keras_epochs(self, rows: Rows) -> Generator[int, None, None]:
        done: list[int] = []
        arguments = self._keras_rows(rows)

        def begin(epoch: int, logs: Logs) -> None:
            if isinstance(arguments["x"], SharedRows):
                arguments["x"].begin(epoch)

        note_epoch = keras.callbacks.LambdaCallback(
            on_epoch_begin=begin,
            on_epoch_end=lambda epoch, logs: done.append(epoch + 1),
        )

        with randomness_kept():
            # Keras draws the order of the rows from its global state.
            keras.utils.set_random_seed(self.seed)
            history = self.model.fit(
                **arguments,
                validation_data=self._keras_validation(self._scored_rows()),
                epochs=self.epochs_total,
                initial_epoch=self.initial_epoch,
                batch_size=self.batch_size,
                callbacks=[*self.callbacks, note_epoch],
                verbose=0,
            )
        self.history = dict(history.history)
        yield from done  # `fit` cannot be left in between: its epochs are told afterwards

    def _tensors(self, rows: Rows) -> Tensors:
        """Return what the steps train on: tensors on the device, or a stream."""
        if stream_part(rows.X) is None:
            return rows.tensors()
        return (
            open_stream(
                rows,
                self.batch_size,
                seed=self.seed,
                epoch=self.initial_epoch,
                shuffle=self.shuffle,
                class_weight=self.class_weight,
            ),
        )

    def _held_out(self, rows: Rows) -> Tensors:
        """Return the same of rows that are only looked at."""
        if stream_part(rows.X) is None:
            return rows.tensors()
        return (open_stream(rows, self.batch_size),)

    def _keras_validation(self, rows: Rows | None) -> Any:
        """Return the validation part as `model.fit` takes it."""
        if rows is None:
            return None
        if stream_part(rows.X) is not None:
            return open_stream(rows, self.batch_size).batches
        if holds_windows(rows.X):
            return batches(rows.tensors(), self.batch_size)
        return rows.for_fit()

    def _keras_rows(self, rows: Rows) -> dict[str, Any]:
        """Return the training part as arguments of `model.fit`; each replica gets as many rows."""
        n_replicas = self.model.distribute_strategy.num_replicas_in_sync
        if stream_part(rows.X) is not None:
            stream = self._tensors(rows)[0].batches
            if n_replicas > 1:
                stream = batches_shared_out(stream, n_replicas)
            return {"x": stream, "shuffle": False}

        if holds_windows(rows.X):
            seed = self.seed if self.shuffle else None
            windows = batches(rows.tensors(), self.batch_size, seed)
            if n_replicas > 1:
                windows = batches_shared_out(windows, n_replicas)
            return {"x": windows, "shuffle": False}
        if n_replicas > 1:
            return {"x": self._shared_rows(rows, n_replicas), "shuffle": False}
        X, y, weight = keras.utils.unpack_x_y_sample_weight(rows.for_fit())
        return {"x": X, "y": y, "sample_weight": weight, "shuffle": self.shuffle}

    def _shared_rows(self, rows: Rows, n_replicas: int) -> SharedRows:
        shared = SharedRows(
            rows,
            self.batch_size,
            n_replicas,
            order=lambda epoch: self.order(len(rows), epoch),
        )
        if shared.n_left_out:
            self.notes.append(
                f"{shared.n_left_out} of {len(rows)} rows left out of each epoch, so that "
                f"{n_replicas} GPUs get as many"
            )
        return shared

    def order(self, n_rows: int, epoch: int) -> Array:
        """Return the order of the rows in an epoch (from 0), int32 `(rows,)`."""
        if self.shuffle:
            return epoch_order(n_rows, self.seed, epoch)
        return np.arange(n_rows, dtype=np.int32)


class _CompiledRun:
    """A fit by compiled steps: what happens in which order, and who sees the state meanwhile.

    The state lies in the steps while they compute, and is put where callbacks look (`Visibility`)
    before each of them is called.

    Args:
        fit: What is trained, and how.
        steps: Do an epoch and a validation pass.
        arrays: The training part, class weights included.
        validation: Scored after each epoch, or None.
    """

    def __init__(
        self, *, fit: Fit, steps: Steps, arrays: Tensors, validation: Tensors | None
    ) -> None:
        self._fit = fit
        self._model = fit.model
        self._steps = steps
        self._arrays = arrays
        self._validation = validation
        self._looks = looks_of(fit.callbacks)
        self._stops_at_once = False
        self._xla = self._is_worth_xla()

        self.watched = self._model
        if self._looks != "all" and steps.graph_model is not None:
            self.watched = steps.graph_model
        elif looks_at_metrics(fit.callbacks):
            # Those of the user's own model count nothing, and nobody has made them.
            stream = arrays[0]
            sample = sample_of(stream) if isinstance(stream, OpenStream) else arrays
            build(self._model, sample, fit.batch_size, metrics=True)
        self.callbacks = keras.callbacks.CallbackList(
            list(fit.callbacks),
            add_history=True,
            model=self.watched,
            verbose=0,
            epochs=fit.epochs_total,
            steps=math.ceil(len(fit.rows) / fit.batch_size),
        )
        keras_internals.forget_restored_epoch(self.watched)

    def begin(self) -> int:
        """Call the callbacks before the first epoch; return its number, from 0."""
        self._steps.show(self._model, self._looks_around)
        self.watched.stop_training = False
        self.callbacks.on_train_begin()
        self._stops_at_once = self.watched.stop_training
        # BackupAndRestore may have found where a training left off.
        return keras_internals.restored_epoch(self.watched) or self._fit.initial_epoch

    def epoch(self, epoch: int) -> Logs:
        """Train one epoch and validate, callbacks included; return its numbers."""
        self._steps.show(self._model, self._looks)
        # Perhaps set by a fit that shares the graph, perhaps by our own callbacks.
        self.watched.stop_training = self._stops_at_once
        self.callbacks.on_epoch_begin(epoch)

        self._steps.bind(self._model)
        logs = self._train(epoch)
        if self._validation is not None:
            logs |= self._validate(self._validation)
        self._stop_on_nan(logs)
        self._stops_at_once = False  # it has counted; a callback may take it back now

        self._steps.show(self._model, self._looks)
        self.callbacks.on_epoch_end(epoch, logs)
        return logs

    def end(self, logs: Logs) -> None:
        """Call the callbacks after the last epoch."""
        self._steps.show(self._model, self._looks_around)
        if self.watched.optimizer is not None:
            self.watched.optimizer.finalize_variable_values(self.watched.trainable_weights)
        self.callbacks.on_train_end(logs)

    def give_back(self) -> None:
        """Leave the state in the user's model, however the run has ended."""
        self._steps.release(self._model)
        if self._steps.graph_model is not None:
            # A callback, which would keep the user's model alive.
            self._steps.graph_model.history = None
        self.callbacks.set_model(self._model)

    @property
    def _looks_around(self) -> Visibility:
        """What must be there before and after the epochs, when callbacks may put weights back."""
        return "all" if self.watched is self._model else self._looks

    def _is_worth_xla(self) -> bool:
        fit = self._fit
        began_at = fit.initial_epoch if fit.began_at is None else fit.began_at
        planned = (fit.epochs_total - began_at) * fit.fits
        return repays_xla(self._model, len(fit.rows), fit.batch_size, planned)

    def _train(self, epoch: int) -> Logs:
        fit = self._fit
        n_rows = len(fit.rows)
        order = fit.order(n_rows, epoch)
        if self.watched.stop_training:  # `fit` looks after each call of its function
            order = order[: fit.batch_size * self._model.steps_per_execution]

        xla = self._xla and epoch > 0
        try:
            metrics = self._steps.run_epoch(order, self._arrays, fit.batch_size, xla=xla)
            return _numbers(metrics)
        except (tf.errors.OpError, ValueError, TypeError):
            if isinstance(self._steps, CompiledSteps):
                forget(self._steps)
            raise

    def _validate(self, arrays: Tensors) -> Logs:
        self._steps.show(self._model, self._looks)
        self.callbacks.on_test_begin()  # SwapEMAWeights changes the weights for the validation
        self._steps.bind(self._model)
        takers = [
            callback for callback in self._fit.callbacks if hasattr(callback, "take_predictions")
        ]
        predicts = bool(takers) and has_own(self._model, "call")
        scored = self._steps.evaluate(arrays, predicts=predicts)
        numbers = _numbers(scored.metrics)

        self._steps.show(self._model, self._looks)
        self.callbacks.on_test_end(numbers)
        if predicts:
            predicted = by_output(self._model, scored.predicted)
            for callback in takers:
                callback.take_predictions(predicted)
        return {f"val_{name}": value for name, value in numbers.items()}

    def _stop_on_nan(self, logs: Logs) -> None:
        # Keras calls it with each batch; a loss that is not finite stays so in the epoch's mean.
        for callback in self._fit.callbacks:
            if isinstance(callback, keras.callbacks.TerminateOnNaN):
                callback.on_batch_end(-1, logs)


def train(
    model: keras.Model,
    X: Arrays | Sequence[Array],
    y: Arrays | Sequence[Array] | None = None,
    *,
    epochs: int = 1,
    sample_weight: Arrays | Sequence[Array] | None = None,
    validation_data: tuple[Any, ...] | None = None,
    **settings: Any,
) -> dict[str, list[float]]:
    """Train `model` as `model.fit(X, y, …)` does, the loop over batches compiled.

    Args:
        model: Built and compiled `keras.Model`.
        X: `(rows, *input_shape)`; for several inputs a mapping by their names, or a list or tuple
            in the model's order.
        y: `(rows, …)` as the model's loss takes it; for several outputs as X. None where the
            model's own step needs none.
        epochs: Train until this many are done.
        sample_weight: `(rows,)`; for several outputs also one of each, as y.
        validation_data: (X, y) or (X, y, weights), scored after each epoch.
        **settings: `batch_size=32`, `class_weight=None`, `callbacks=()`, `shuffle=True`, `seed=0`,
            `initial_epoch=0`, `trainer="auto"`; see `Fit`.

    Returns:
        One list of floats a metric, one entry an epoch, as `model.fit(…).history`.
    """
    validation = None if validation_data is None else Rows(*validation_data)
    fit = Fit(
        model,
        Rows(by_name(X), by_name(y), by_name(sample_weight)),
        validation=validation,
        epochs_total=epochs,
        **settings,
    )
    for _ in fit.epochs():
        pass
    return fit.history


def epoch_order(rows: int, seed: int, epoch: int) -> Array:
    """Return the order of the rows in one epoch, int32 `(rows,)`.

    It depends on nothing else, so a resumed trial is the same trial.
    """
    return np.random.default_rng([seed, epoch]).permutation(rows).astype(np.int32)


def _an_epoch_at_a_time(epochs: Generator[int, None, None]) -> Generator[int, None, None]:
    """Hold the lock while an epoch is trained, and not while its number is looked at."""
    try:
        while True:
            with _epoch_lock:
                done = next(epochs, None)
            if done is None:
                return
            yield done
    finally:
        # Closing writes the state back into the user's model, out of the shared graph.
        with _epoch_lock:
            epochs.close()


def _with_class_weights(rows: Rows, class_weight: Mapping[int, float] | None) -> Rows:
    if class_weight is None or stream_part(rows.X) is not None:  # a stream weighs its batches
        return rows
    if isinstance(rows.y, Mapping) or isinstance(rows.weight, Mapping):
        names = ", ".join(rows.y) if isinstance(rows.y, Mapping) else "one, with weights by name"
        raise ValueError(
            f"class_weight counts for a model with one output; received outputs {names}; "
            "use sample_weight, one array an output"
        )

    numbers = class_numbers(np.asarray(rows.y)).tolist()
    dtype = keras.config.floatx()
    weight = np.array([class_weight.get(number, 1.0) for number in numbers], dtype)
    if rows.weight is not None:
        weight = (weight * rows.weight).astype(dtype)
    return Rows(rows.X, rows.y, weight)


def _numbers(metrics: Mapping[str, Any]) -> Logs:
    """Return numbers of tensors; those that a model's own step has nested come out flat."""
    numbers: Logs = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            numbers |= _numbers(value)
        else:
            numbers[name] = float(value) if value.shape.rank == 0 else value.numpy()
    return numbers
