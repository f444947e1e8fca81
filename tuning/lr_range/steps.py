"""Training steps of a range test: many in one graph call, each call from the same weights."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tuning.data.dataset import Array
from tuning.lr_range.throwaway import rate_variable, trained_state
from tuning.trainer.graphs import graph_of

LoopState: TypeAlias = "tuple[tf.Tensor, tf.TensorArray, tf.Tensor]"
"""Number of the step to come, the losses so far, whether the last one is finite."""


class _Saved(NamedTuple):
    """A variable and the value that it has at the start of each run."""

    variable: Any
    value: tf.Tensor


def _saved(variable: Any, source: Any) -> _Saved:
    """Remember the value that `source` has now as the one that `variable` starts from."""
    return _Saved(variable, tf.identity(source.value))


class Steps:
    """A throw-away model and the rows it is trained on.

    Args:
        model: Prepared by `throw_away` or `own`; its weights are where every run begins until
            `begin_at`.
        data: (X, y) or (X, y, weights) with rows first; each may be a list or a dictionary of
            arrays.
    """

    def __init__(self, model: keras.Model, data: tuple[Any, ...]) -> None:
        self._model = model
        self._rate = rate_variable(model.optimizer)
        self._data = keras.tree.map_structure(_tensor, data)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        variables = model.optimizer.variables
        self._optimizer = [_saved(variable, variable) for variable in variables]

        # One graph for the sweep and all runs at a constant rate: any number of steps, any batch.
        self._run = self._all_steps
        if not model.run_eagerly:
            rates = tf.TensorSpec([None], tf.float32)
            order = tf.TensorSpec([None, None], tf.int32)
            self._run = graph_of(self._all_steps, [rates, order])
        self.begin_at(model)

    def begin_at(self, model: keras.Model) -> None:
        """Let later runs begin at the weights and random states of a model of equal structure."""
        pairs = zip(trained_state(self._model), trained_state(model), strict=True)
        self._start = [_saved(ours, theirs) for ours, theirs in pairs]

    def losses(self, rates: Array, order: Array) -> Array:
        """Train from the start; return the loss of each batch before its step, float64.

        Ends at the first loss that is not finite, which is the last one returned.

        Args:
            rates: Learning rate of each step, `(steps,)`.
            order: Row numbers of each step's batch, int32 `(steps, batch)`.
        """
        for saved in (*self._start, *self._optimizer):
            saved.variable.assign(saved.value)
        losses = self._run(tf.constant(rates, tf.float32), tf.constant(order, tf.int32))
        return np.asarray(losses, dtype=np.float64)

    def _all_steps(self, rates: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
        """Take steps until there are no more rates, or a loss is not finite."""

        def goes_on(i: tf.Tensor, _: tf.TensorArray, finite: tf.Tensor) -> tf.Tensor:
            return finite & (i < tf.shape(rates)[0])

        def step(i: tf.Tensor, losses: tf.TensorArray, _: tf.Tensor) -> LoopState:
            loss = self._one_step(rates[i], order[i])
            return i + 1, losses.write(i, loss), tf.math.is_finite(loss)

        no_losses = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=[])
        start = (tf.constant(0), no_losses, tf.constant(True))
        _, losses, _ = tf.while_loop(goes_on, step, start)
        return losses.stack()

    def _one_step(self, rate: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Take Keras' own step; its loss is a mean since the last reset, so it is reset before."""
        self._rate.assign(rate)
        self._model.reset_metrics()
        batch = keras.tree.map_structure(lambda array: tf.gather(array, rows), self._data)
        logs = self._model.train_step(batch)
        return tf.cast(logs["loss"], tf.float32)


def batch_order(rows: int, batch_size: int, steps: int, rng: np.random.Generator) -> Array:
    """Return the row numbers of each step, int32 `(steps, batch)`.

    They are one shuffled epoch after another, cut into full batches. With `batch_size >= rows`
    every batch is all rows.
    """
    size = min(batch_size, rows)
    if size == rows:
        return np.tile(np.arange(rows, dtype=np.int32), (steps, 1))

    n_rows = steps * size
    n_epochs = math.ceil(n_rows / rows)
    shuffled = np.concatenate([rng.permutation(rows) for _ in range(n_epochs)])
    by_step = shuffled[:n_rows].reshape(steps, size)
    return by_step.astype(np.int32)


def first_rows(data: tuple[Any, ...], rows: int = 2) -> tuple[Any, ...]:
    """Return the first rows of the data, for their shapes."""
    few: tuple[Any, ...] = keras.tree.map_structure(lambda array: _tensor(array[:rows]), data)
    return few


def row_counts(data: Any) -> list[int]:
    """Return how many rows each array has; -1 for what is none."""
    return [int(np.shape(array)[0]) if np.ndim(array) else -1 for array in keras.tree.flatten(data)]


def _tensor(array: Any) -> tf.Tensor:
    """Return a tensor; floating ones in Keras' own precision."""
    tensor = tf.convert_to_tensor(array)
    if tensor.dtype.is_floating:
        return tf.cast(tensor, keras.config.floatx())
    return tensor
