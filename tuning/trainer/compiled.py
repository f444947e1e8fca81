"""A whole epoch, and a whole validation pass, as one `tf.function` call over the unmodified model.

`model.fit` spends about 1.3 ms of Python on each batch. Here the loop over batches lies inside the
graph and calls the model's own `train_step`, so loss, metrics, regularisers and optimizer do
exactly what they do in `fit`.

A fit begins as a plain graph; where its steps will repay the compiler, XLA takes over from the
second epoch. Only whole batches go through XLA, which compiles for one shape: the rest takes the
plain graph, or it would be compiled twice.

A model's own `train_step` or `test_step` is called in the same place. `fit` takes the numbers of an
epoch from what the last of its steps has returned, unless these are the model's metrics; so do we.

The compiled steps are kept by the process and used again for every model of equal structure, and
for plain networks of any width (`elastic`): the weights, optimizer variables (the learning rate
among them), other scalar settings and the random states of the new model are assigned, nothing is
traced again. XLA compiles each width from the same trace.
"""

from __future__ import annotations

import functools
import gc
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf
from cachetools import LRUCache

from tuning.data.arrays import Array
from tuning.trainer import keras_internals
from tuning.trainer.assigned import Setting, assign_settings, make_settings, update_from_one_reading
from tuning.trainer.elastic import is_elastic, make_elastic, make_slots_elastic, take_sizes
from tuning.trainer.graphs import (
    Tensors,
    any_batch,
    any_rows,
    count_rows,
    cut,
    gather,
    graph_of,
    repeat,
    rows_in_graph,
)
from tuning.trainer.kernels import by_kernel
from tuning.trainer.reasons import Visibility, has_own
from tuning.trainer.state import copy_state, randomness_kept
from tuning.trainer.structure import adds_up, facts_of, structure_of

KEPT_STRUCTURES = 24
"""Compiled structures a process keeps, the least recently used dropped first; each costs 2-6 MB."""

XLA_MIN_STEPS = 14_000
"""Optimizer steps a fit must still have for XLA to repay its compilation.

Measured on one core, 1-3 layers of 50-200, batch 32: 0.3-0.7 s are repaid after 8,400-13,200 steps
on an Intel and after 12,500-19,000 on an AMD Zen 5, both with AVX-512. The rule looks at the trial
alone, not at what the process has compiled before: the same trial gives the same numbers on every
worker.
"""

XLA_MAX_WORK = 20_000_000
"""Parameters x batch size above which XLA's kernels gain nothing on a CPU: arithmetic dominates."""

CHUNK = 2048
"""Rows of one forward pass in validation and prediction."""

_XLA_REFUSALS = (
    tf.errors.InvalidArgumentError,
    tf.errors.UnimplementedError,
    tf.errors.InternalError,
    ValueError,
    TypeError,
)


Logs: TypeAlias = dict[str, Any]
"""Numbers by name, as tensors; those of a model's own step may be nested."""


class Scored(NamedTuple):
    """What a validation pass over some rows gives.

    Attributes:
        metrics: Over the rows; of a batch, what the step has returned.
        predicted: As the model gives them, one tensor or several nested; None where nobody wants
            them, and making them would cost another pass.
    """

    metrics: Logs
    predicted: Any


class CompiledSteps:
    """The epoch and the validation pass of one structure, bound to one model at a time.

    The graph works on the variables of `graph_model`, which belongs to it alone. `bind` moves a
    model's state in and that of the model before out, so fits of equal structure may also take
    turns epoch by epoch (folds in lock-step).

    Attributes:
        graph_model: Traced; where the graph is elastic, its configuration is not that of the model
            bound.
        traces: Functions traced so far.
        xla_refusal: Why XLA does not compile this model, once it was tried.
    """

    def __init__(
        self,
        graph_model: keras.Model,
        arrays: Tensors,
        batch_size: int,
        *,
        shared: bool = True,
        elastic: bool = False,
    ) -> None:
        self.graph_model = graph_model
        self.traces = 0
        self.xla_refusal = ""
        self._elastic = elastic
        self._xla_has_run = False
        self._bound: keras.Model | None = None
        self._own_train_step = has_own(graph_model, "train_step")
        self._own_test_step = has_own(graph_model, "test_step")
        # A loss or metric that is not Keras' own may give one number a batch, so `fit`'s value
        # depends on the batches.
        self._chunk = CHUNK if adds_up(graph_model) else batch_size

        self._settings: Mapping[str, Setting] = {}
        if shared:
            optimizer = graph_model.optimizer
            kernel = by_kernel(optimizer)  # before its settings become variables
            self._settings = make_settings(optimizer)
            update_from_one_reading(optimizer, self._settings, kernel=kernel)

        rows = any_rows(arrays)
        order = tf.TensorSpec([None], tf.int32)
        order_by_batch = tf.TensorSpec([None, None], tf.int32)
        size = tf.TensorSpec([], tf.int32)
        # Traced once for both loops.
        self._train_step = graph_of(self._train_batch, any_batch(arrays))
        self._graph = graph_of(self._any_batches, (order, size, *rows))
        self._last = graph_of(self._last_batch, (order, *rows))
        self._xla = graph_of(self._whole_batches, (order_by_batch, *rows), jit_compile=True)
        self._evaluators: dict[str, Any] = {}

    def run_epoch(self, order: Array, arrays: Tensors, batch_size: int, *, xla: bool) -> Logs:
        """Train one epoch; return the metrics over it.

        Args:
            order: int32 `(rows,)`.
            arrays: X, y and perhaps weights.
            batch_size: Rows a step.
            xla: Whether XLA is to do the whole batches.
        """
        if self._own_train_step:
            # Metrics that the step made while it was traced are not reset by that trace.
            self.graph_model.reset_metrics()
        n_whole = len(order) // batch_size * batch_size
        if xla and n_whole and not self.xla_refusal:
            metrics = self._by_xla(order[:n_whole].reshape(-1, batch_size), arrays)
            if metrics is not None:
                rest = order[n_whole:]
                return dict(self._last(tf.constant(rest), *arrays)) if len(rest) else metrics
        return dict(self._graph(tf.constant(order), tf.constant(batch_size), *arrays))

    def _by_xla(self, order: Array, arrays: Tensors) -> Logs | None:
        """Return the metrics, or None where XLA refuses.

        It compiles before it runs, so nothing was trained then.
        """
        try:
            metrics = dict(self._xla(tf.constant(order), *arrays))
        except _XLA_REFUSALS as error:
            if self._xla_has_run:  # it has compiled before: the error is the training's own
                raise
            self.xla_refusal = str(error).splitlines()[0][:200]
            return None
        self._xla_has_run = True
        return metrics

    def evaluate(self, arrays: Tensors, *, predicts: bool = True) -> Scored:
        """Return metrics and predictions over all rows, as `evaluate` and `predict` would.

        Args:
            arrays: X, y and perhaps weights.
            predicts: Whether somebody wants the predictions. Keras' own step makes them anyway.
        """
        if self._own_test_step:
            self.graph_model.reset_metrics()
        predicts = predicts or not self._own_test_step
        specs = any_rows(arrays)
        key = f"{predicts} {specs}"
        if key not in self._evaluators:
            self._evaluators[key] = graph_of(functools.partial(self._evaluate, predicts), specs)
        return Scored(*self._evaluators[key](*arrays))

    def trace(self) -> None:
        """Trace the epoch now, so that what a model's own step cannot do in it shows at once."""
        self._graph.get_concrete_function()

    def bind(self, model: keras.Model) -> None:
        """Make the graph work on the state of a model.

        The state worked on before goes back to its own model.
        """
        if model is self._bound or model is self.graph_model:
            return

        if self._bound is not None:
            copy_state(self.graph_model, self._bound)
            self._bound = None  # nobody's, should the next line fail

        copy_state(model, self.graph_model)
        if self._elastic:
            take_sizes(model, self.graph_model)
        assign_settings(self._settings, model.optimizer)
        self._bound = model

    def show(self, model: keras.Model, looks: Visibility) -> None:
        """Put the state where callbacks look: into `graph_model`, or back into the user's model."""
        if looks == "all":
            self.release(model)
        else:
            self.bind(model)

    def release(self, model: keras.Model) -> None:
        """Move the state worked on back into `model`, if it is the one bound."""
        if model is self._bound:
            copy_state(self.graph_model, model)
            self._bound = None

    # What follows is traced: TensorFlow runs the graph, not these lines.

    def _any_batches(self, order: tf.Tensor, size: tf.Tensor, *arrays: Any) -> Logs:
        """The rows in `order`, any number of them, so that one trace serves every fold."""
        self.traces += 1
        self.graph_model.reset_metrics()
        n_rows = tf.shape(order)[0]

        def train(start: tf.Tensor) -> Any:
            batch = order[start : tf.minimum(start + size, n_rows)]
            return self._train_step(*gather(arrays, batch))

        if not self._own_train_step:
            repeat(train, n_rows, step=size)
            return self._metrics(None)
        last = (n_rows - 1) // size * size
        repeat(train, last, step=size)
        return self._metrics(train(last))

    def _whole_batches(self, order: tf.Tensor, *arrays: Any) -> Logs:
        """The batches in the rows of `order`, from the epoch's first on."""
        self.traces += 1
        self.graph_model.reset_metrics()
        # Gathered at once: a slice costs less in the loop.
        batches = gather(arrays, order)
        n_batches = tf.shape(order)[0]

        def train(i: tf.Tensor) -> Any:
            return self._train_step(*cut(batches, i))

        if not self._own_train_step:
            repeat(train, n_batches)
            return self._metrics(None)
        repeat(train, n_batches - 1)
        return self._metrics(train(n_batches - 1))

    def _last_batch(self, order: tf.Tensor, *arrays: Any) -> Logs:
        """The epoch's last rows, too few for a whole batch."""
        self.traces += 1
        # Not reset: `_whole_batches` has begun the epoch's metrics.
        return self._metrics(self._train_step(*gather(arrays, order)))

    def _train_batch(self, *batch: Any) -> Logs | None:
        """One step; return what the model's own has returned, nothing of Keras'."""
        self.traces += 1
        logs = self.graph_model.train_step(_as_fit_packs(batch))
        return logs if self._own_train_step else None

    def _metrics(self, logs: Logs | None) -> Logs:
        """The numbers of an epoch as `fit` has them.

        Args:
            logs: What the model's own step has returned for the last batch; None of Keras'.
        """
        metrics = dict(self.graph_model.get_metrics_result())
        if logs is None or set(logs) == set(metrics):
            return metrics
        return dict(logs)

    def _evaluate(self, predicts: bool, *arrays: Any) -> Scored:
        self.traces += 1
        self.graph_model.reset_metrics()
        n_rows = rows_in_graph(arrays)
        n_chunks = (n_rows + self._chunk - 1) // self._chunk
        score_batch = graph_of(functools.partial(self._score_batch, predicts), any_batch(arrays))
        structure = score_batch.get_concrete_function().structured_outputs.predicted

        def score(
            i: tf.Tensor, *written: tf.TensorArray
        ) -> tuple[Logs, tuple[tf.TensorArray, ...]]:
            rows = slice(i * self._chunk, tf.minimum((i + 1) * self._chunk, n_rows))
            logs, predicted = score_batch(*cut(arrays, rows))
            outputs = _outputs_in(predicted)
            return logs, tuple(map(lambda array, output: array.write(i, output), written, outputs))

        def step(i: tf.Tensor, *written: tf.TensorArray) -> tuple[Any, ...]:
            _, written = score(i, *written)
            return (i + 1, *written)

        # The last chunk has fewer rows, so no shape is known to all of them.
        settings = {"size": 0, "dynamic_size": True, "infer_shape": False}
        written = tuple(
            tf.TensorArray(output.dtype, **settings) for output in _outputs_in(structure)
        )
        n_looped = n_chunks - 1 if self._own_test_step else n_chunks
        i, *written = tf.while_loop(lambda i, *_: i < n_looped, step, (tf.constant(0), *written))
        logs = None
        if self._own_test_step:
            logs, written = score(i, *written)
        if structure is None:
            return Scored(self._metrics(logs), None)
        joined = [array.concat() for array in written]
        return Scored(self._metrics(logs), keras.tree.pack_sequence_as(structure, joined))

    def _score_batch(self, predicts: bool, *batch: Any) -> Scored:
        """One step; its metrics where it is the model's own."""
        self.traces += 1
        if not self._own_test_step:
            return Scored({}, scored(self.graph_model, *batch))
        logs = self.graph_model.test_step(_as_fit_packs(batch))
        predicted = self.graph_model(batch[0], training=False) if predicts else None
        return Scored(logs, predicted)


def scored(model: keras.Model, x: Any, y: Any = None, weight: Any = None) -> Any:
    """Do what Keras' `test_step` does, and return the predictions that it throws away."""
    predicted = model(x, training=False)
    keras_internals.add_loss(model, x, y, predicted, weight)
    model.compute_metrics(x, y, predicted, sample_weight=weight)
    return predicted


def _as_fit_packs(batch: Tensors) -> Any:
    """Return a batch as `fit` gives it to a step: X alone is no tuple."""
    if len(batch) == 1 and not isinstance(batch[0], list | tuple):
        return batch[0]
    return batch


def _outputs_in(predicted: Any) -> list[Any]:
    return [] if predicted is None else keras.tree.flatten(predicted)


_cache: LRUCache[str, CompiledSteps] = LRUCache(KEPT_STRUCTURES)


def build(
    model: keras.Model, arrays: Tensors, batch_size: int, *, metrics: bool = False
) -> Tensors:
    """Build a model where it is not, from a batch of its data; return the batch.

    Args:
        model: Compiled.
        arrays: X, y and perhaps weights.
        batch_size: Rows a step.
        metrics: Whether its metrics are to be built, too, where the model is.
    """
    batch: Tensors = cut(arrays, slice(min(batch_size, count_rows(arrays))))
    if metrics or not model.built:
        keras_internals.build_from_batch(model, batch)
    return batch


def graph_for(model: keras.Model, arrays: Tensors, batch_size: int) -> CompiledSteps:
    """Return compiled steps for `model`: those of an earlier equal structure, else new ones.

    Args:
        model: Compiled; it is built where it is not.
        arrays: X, y and perhaps sample weights, rows first.
        batch_size: Rows a step.
    """
    batch = build(model, arrays, batch_size)
    elastic = is_elastic(model)
    structure = structure_of(model, arrays, batch_size, elastic=elastic)
    if structure is None:
        return _unshared(model, arrays, batch_size, batch)

    if not model.optimizer.built:  # what `bind` copies; the metrics are the graph_model's own
        model.optimizer.build(model.trainable_variables)
    if structure not in _cache:
        graph_model = _copy_for_graph(model, batch, elastic=elastic)
        if facts_of(graph_model) != facts_of(model):  # something was set that no copy has
            return _unshared(model, arrays, batch_size, batch)
        _cache[structure] = CompiledSteps(graph_model, arrays, batch_size, elastic=elastic)
    return _cache[structure]


def repays_xla(model: keras.Model, rows: int, batch_size: int, epochs: int) -> bool:
    """Whether so many epochs of `model`, built, are worth its compilation by XLA.

    The answer is the same in every process.
    """
    steps = epochs * math.ceil(rows / batch_size)
    work = model.count_params() * batch_size
    return bool(steps >= XLA_MIN_STEPS and work <= XLA_MAX_WORK)


def _unshared(
    model: keras.Model, arrays: Tensors, batch_size: int, batch: Tensors
) -> CompiledSteps:
    keras_internals.build_from_batch(model, batch)  # its metrics too, which are reset each epoch
    return CompiledSteps(model, arrays, batch_size, shared=False)


def _copy_for_graph(model: keras.Model, batch: Tensors, *, elastic: bool) -> keras.Model:
    with randomness_kept():  # each layer of the copy draws a seed
        graph_model = type(model).from_config(model.get_config())
        if elastic:
            make_elastic(graph_model)
        graph_model.compile_from_config(model.get_compile_config())
        keras_internals.build_from_batch(graph_model, batch)
    if elastic:
        make_slots_elastic(graph_model.optimizer)
    return graph_model


def forget_all() -> None:
    """Drop every compiled step, to give memory back."""
    _cache.clear()
    gc.collect()


def forget(steps: CompiledSteps) -> None:
    """Drop compiled steps that failed, so that nobody uses them again."""
    for structure in [key for key, cached in _cache.items() if cached is steps]:
        del _cache[structure]
