"""Epochs of plain dense networks by `native` instead of a graph: nothing is traced or compiled for
a new structure.

The state is read out of the Keras model before the first epoch and put back where somebody looks at
it. Losses and metrics are Keras' own: one small graph computes them, for all networks of equal loss
and metrics, from what the last layer gave for each row in the step that it was trained in.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numba import config

from tuning.data.dataset import Array
from tuning.trainer.compiled import CompiledSteps, any_rows, build, graph_for, scored
from tuning.trainer.graphs import graph_of
from tuning.trainer.native import epoch as native
from tuning.trainer.plain_network import Network, network_of
from tuning.trainer.reasons import Visibility
from tuning.trainer.state import assign, read
from tuning.trainer.structure import Tensors

MAX_PARAMETERS = 2**20
"""Parameters above which TensorFlow's products of matrices, made for large ones, are taken.

On an AMD EPYC (Zen 5) machine code was ahead of graph and XLA up to here with two layers of
300-1000 units, batches of 32, 128 and 512, SGD and Adam. Behind, by up to a tenth, were
784-300-100-10 and 8-1000-1000-1 with batches of 512; they need no trace instead. Processors with
smaller caches have not been measured.
"""

MAX_BATCH = 4096
"""Rows of a step above which the graph sums more exactly: sums over a batch are plain ones in
machine code.
"""

KEPT_HEADS = 24
"""Graphs for losses and metrics that a process keeps, the least recently used dropped first."""

Head: TypeAlias = Callable[..., tuple[dict[str, tf.Tensor], tf.Tensor]]
"""Takes what the last layer gave, y and perhaps weights; returns (metrics, predictions)."""


class NativeSteps:
    """The epoch and the validation pass of one model; see `CompiledSteps`, which does the same by a
    graph.
    """

    graph_model = None
    refused = ""

    def __init__(self, model: keras.Model, network: Network) -> None:
        native.load()
        self._model, self._network, self._compiled = model, network, model.get_compile_config()
        optimizer = model.optimizer
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        self._weights = list(model.trainable_variables)
        self._moments = _moments(optimizer)
        size = sum(math.prod(v.shape) for v in self._weights)
        self._params, *self._kept = (
            np.zeros(size if v else 0, np.float32) for v in (self._weights, *self._moments)
        )
        self._steps = 0
        self._seeds = np.zeros(len(network.rates), np.uint64)
        self._prepared: dict[tuple[int, ...], tuple[Tensors, tuple[Array, ...], Head]] = {}
        self._bound = self._shown = False

    def bind(self, model: keras.Model) -> None:
        """Read the state of the model, unless it is here already."""
        if self._bound:
            return
        for vector, variables in zip(
            (self._params, *self._kept), (self._weights, *self._moments), strict=True
        ):
            if variables:
                np.concatenate([read(v).reshape(-1) for v in variables], out=vector)
        self._steps = int(read(self._model.optimizer._iterations))
        for i, layer in enumerate(self._network.dropouts):
            if layer is not None:
                high, low = read(layer.seed_generator.state).tolist()
                self._seeds[i] = (high << 32 | low) & (1 << 64) - 1
        self._bound = self._shown = True

    def show(self, model: keras.Model, looks: Visibility) -> None:
        """Put into the model what callbacks look at; where that is all, they may change it, and it
        is read again.
        """
        if looks == "all":
            self.release(model)
        elif looks == "weights" and self._bound and not self._shown:
            _write(self._weights, self._params)
            self._shown = True

    def release(self, model: keras.Model) -> None:
        """Put the state into the model, if it is here."""
        if not self._bound:
            return
        for vector, variables in zip(
            (self._params, *self._kept), (self._weights, *self._moments), strict=True
        ):
            _write(variables, vector)
        assign(self._model.optimizer._iterations, self._steps)
        for seed, layer in zip(self._seeds.tolist(), self._network.dropouts, strict=True):
            if layer is not None:
                assign(layer.seed_generator.state, (seed >> 32, seed & (1 << 32) - 1))
        self._bound = False

    def run_epoch(
        self, order: Array, arrays: Tensors, batch_size: int, *, xla: bool
    ) -> dict[str, tf.Tensor]:
        """Train one epoch; return the metrics over it. See `CompiledSteps.run_epoch`; XLA has no
        part in it.
        """
        (x, y, weight), head = self._ready(arrays)
        network, state, size = (
            self._network,
            (self._params, *self._kept),
            min(int(batch_size), len(x)),
        )
        logits = np.empty((len(x), network.table[-1, 0]), np.float32)
        numbers = _numbers_of(self._model.optimizer, first_kept=bool(self._moments[0]))
        rule = native.Rule(
            size, network.loss, _kind_of(self._model.optimizer), self._steps, *numbers
        )
        native.train_epoch(
            (x, y, weight, order), (network.table, network.rates, self._seeds), state, rule, logits
        )
        self._steps += -(-len(order) // size)
        self._shown = False
        return dict(head(tf.constant(logits), *arrays[1:])[0])

    def evaluate(self, *arrays: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Return (metrics, predictions) over all rows, as `model.evaluate` and `model.predict`
        would.
        """
        (x, *_), head = self._ready(arrays)
        logits = np.empty((len(x), self._network.table[-1, 0]), np.float32)
        native.forward(x, self._network.table, self._params, logits)
        metrics, predicted = head(tf.constant(logits), *arrays[1:])
        return metrics, predicted

    def _ready(self, arrays: Tensors) -> tuple[tuple[Array, ...], Head]:
        """Return X, y and weights, perhaps none, as the machine code takes them, and the graph that
        scores them.
        """
        key = tuple(map(id, arrays))
        if key not in self._prepared:
            x, y, *weight = (np.asarray(a).astype(np.float32, copy=False) for a in arrays)
            self._network.take(x, y, *weight)
            if self._network.loss == native.SPARSE:
                y = np.trunc(y)  # as Keras casts them
            weights = weight[0].reshape(-1) if weight else np.empty(0, np.float32)
            plain = tuple(
                map(np.ascontiguousarray, (x.reshape(len(x), -1), y.reshape(len(y), -1), weights))
            )
            self._prepared[key] = arrays, plain, _head(self._compiled, self._network, arrays)
        return self._prepared[key][1:]


def steps_for(model: keras.Model, arrays: Tensors, batch_size: int) -> NativeSteps | CompiledSteps:
    """Return steps in machine code for a model, or those of a graph where only that does the same.

    The choice depends on the model and the shapes of its data alone: a trial gives the same numbers
    on every worker.

    Args:
        model: Compiled; it is built where it is not.
        arrays: X, y and perhaps sample weights, rows first.
        batch_size: Rows a step.
    """
    build(model, arrays, batch_size)
    small = model.count_params() <= MAX_PARAMETERS and min(batch_size, len(arrays[0])) <= MAX_BATCH
    if small and not (config.DISABLE_JIT or tf.config.list_logical_devices("GPU")):
        network = network_of(model, arrays)
        if network is not None:
            return NativeSteps(model, network)
    return graph_for(model, arrays, batch_size)


_heads: OrderedDict[str, tuple[Head, keras.Model]] = OrderedDict()


def _head(compiled: Mapping[str, Any], network: Network, arrays: Tensors) -> Head:
    """Return the graph for a model's losses and metrics: that of an earlier one with equal losses,
    else a new one.
    """
    outputs, few = int(network.table[-1, 0]), tuple(a[:32] for a in arrays[1:])
    config = {**compiled, "optimizer": "sgd"}
    specs = (tf.TensorSpec([None, outputs], tf.float32), *any_rows(few))
    key = json.dumps([config, network.activation, *map(repr, specs)], sort_keys=True, default=repr)
    if key not in _heads:
        head = keras.Sequential(
            [keras.Input((outputs,)), keras.layers.Activation(network.activation)]
        )
        head.compile_from_config(config)
        head._symbolic_build(data_batch=(tf.zeros((few[0].shape[0], outputs)), *few))

        def score(*given: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            head.reset_metrics()
            predicted = scored(head, *given)
            return head.get_metrics_result(), predicted

        _heads[key] = (
            graph_of(score, specs).get_concrete_function(),
            head,
        )  # the graph alone would not keep it alive
    _heads.move_to_end(key)
    while len(_heads) > KEPT_HEADS:
        _heads.popitem(last=False)
    return _heads[key][0]


def _moments(optimizer: keras.optimizers.Optimizer) -> tuple[list[Any], list[Any]]:
    """Return the variables of the first and of the second moments, in the order of the weights."""
    if type(optimizer) is keras.optimizers.SGD:
        return list(optimizer.momentums), []
    return list(optimizer._momentums), list(optimizer._velocities)


def _kind_of(optimizer: keras.optimizers.Optimizer) -> int:
    if type(optimizer) is keras.optimizers.SGD:
        return native.NESTEROV if optimizer.nesterov else native.SGD
    return native.RMSPROP if type(optimizer) is keras.optimizers.RMSprop else native.ADAM


def _numbers_of(optimizer: Any, *, first_kept: bool) -> Iterator[np.float32]:
    """Return the numbers of an optimizer as `native.Rule` lists them; callbacks may have changed
    them.
    """
    first = getattr(optimizer, "momentum", getattr(optimizer, "beta_1", 0.0)) if first_kept else 0.0
    second = getattr(optimizer, "rho", getattr(optimizer, "beta_2", 0.0))
    rate, epsilon = float(read(optimizer._learning_rate)), getattr(optimizer, "epsilon", 0.0)
    return map(
        np.float32,
        (rate, first, second, 1 - first, 1 - second, epsilon, optimizer.weight_decay or 0.0),
    )


def _write(variables: Sequence[Any], vector: Array) -> None:
    at = 0
    for variable in variables:
        size = math.prod(variable.shape)
        assign(variable, vector[at : at + size].reshape(variable.shape))
        at += size
