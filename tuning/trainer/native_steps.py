"""Epochs of plain dense networks by `native` instead of a graph.

Nothing is traced or compiled for a new structure. The state is read out of the Keras model before
the first epoch and put back where somebody looks at it. Losses and metrics are Keras' own: `heads`
computes them from what the last layer gave for each row in the step that it was trained in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numba import config

from tuning.data.dataset import Array
from tuning.trainer import keras_internals
from tuning.trainer.compiled import CompiledSteps, Scored, build, graph_for
from tuning.trainer.graphs import Tensors, count_rows, gather
from tuning.trainer.heads import Score, score_for
from tuning.trainer.native import epoch as native
from tuning.trainer.native import formats
from tuning.trainer.plain_network import PlainNetwork, network_of
from tuning.trainer.reasons import Visibility
from tuning.trainer.state import assign, read

MAX_PARAMETERS = 2**20
"""Parameters above which TensorFlow's products of matrices, made for large ones, are taken.

On an AMD EPYC (Zen 5) machine code was ahead of graph and XLA up to here with two layers of
300-1000 units, batches of 32, 128 and 512, SGD and Adam. Behind, by up to a tenth, were
784-300-100-10 and 8-1000-1000-1 with batches of 512; they need no trace instead. Processors with
smaller caches have not been measured.
"""

MAX_BATCH = 4096
"""Rows of a step above which the graph sums more exactly.

Sums over a batch are plain ones in machine code.
"""

_LOW_BITS = (1 << 32) - 1


class _Data(NamedTuple):
    """Rows as the machine code takes them, and the graph that scores them.

    Attributes:
        tensors: What they were made of; their ids are the key, so they must live as long.
        X: float32 `(rows, features)`.
        y: float32 `(rows, outputs)`.
        weights: float32 `(rows,)`, or empty.
        score: See `heads`.
    """

    tensors: Tensors
    X: Array
    y: Array
    weights: Array
    score: Score


class NativeSteps:
    """The epoch and the validation pass of one model.

    `CompiledSteps` does the same by a graph.
    """

    graph_model = None
    xla_refusal = ""

    def __init__(self, model: keras.Model, network: PlainNetwork) -> None:
        native.load()
        self._model = model
        self._plain = network
        self._compile_config = model.get_compile_config()
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)

        # Keras' variables, and vectors of the same layout, with equal names for what belongs
        # together.
        self._variables = _state_variables(model)
        size = sum(math.prod(weight.shape) for weight in self._variables.params)
        self._state = formats.State(
            *(np.zeros(size if variables else 0, np.float32) for variables in self._variables)
        )
        self._steps_done = 0
        seeds = np.zeros(len(network.dropouts), np.uint64)
        self._network = formats.make_network(network.table, network.dropout_rates(), seeds)

        self._is_bound = False  # whether the vectors hold the state
        self._weights_are_shown = False  # whether the model's weights are equal to theirs
        self._data: dict[tuple[int, ...], _Data] = {}

    def bind(self, model: keras.Model) -> None:
        """Read the state of the model, unless it is here already."""
        if self._is_bound:
            return
        for vector, variables in zip(self._state, self._variables, strict=True):
            if variables:
                np.concatenate([read(v).reshape(-1) for v in variables], out=vector)
        self._steps_done = int(read(self._model.optimizer.iterations))

        for i, layer in enumerate(self._plain.dropouts):
            if layer is not None:
                high, low = read(layer.seed_generator.state).tolist()
                self._network.seeds[i] = (high & _LOW_BITS) << 32 | (low & _LOW_BITS)
        self._is_bound = True
        self._weights_are_shown = True

    def show(self, model: keras.Model, looks: Visibility) -> None:
        """Put into the model what callbacks look at.

        Where that is all, they may change it, and it is read again.
        """
        if looks == "all":
            self.release(model)
        elif looks == "weights" and self._is_bound and not self._weights_are_shown:
            _write(self._variables.params, self._state.params)
            self._weights_are_shown = True

    def release(self, model: keras.Model) -> None:
        """Put the state into the model, if it is here."""
        if not self._is_bound:
            return
        for vector, variables in zip(self._state, self._variables, strict=True):
            _write(variables, vector)
        assign(self._model.optimizer.iterations, self._steps_done)

        for seed, layer in zip(self._network.seeds.tolist(), self._plain.dropouts, strict=True):
            if layer is not None:
                assign(layer.seed_generator.state, (seed >> 32, seed & _LOW_BITS))
        self._is_bound = False

    def run_epoch(
        self, order: Array, arrays: Tensors, batch_size: int, *, xla: bool
    ) -> dict[str, tf.Tensor]:
        """Train one epoch; return the metrics over it.

        Args:
            order: int32 `(rows,)`.
            arrays: X, y and perhaps weights.
            batch_size: Rows a step.
            xla: Of no consequence here; see `CompiledSteps.run_epoch`.
        """
        data = self._data_of(arrays)
        rows = formats.make_rows(data.X, data.y, data.weights, order)
        logits = np.empty((len(data.X), self._plain.n_outputs), np.float32)
        rule = self._rule(min(int(batch_size), len(data.X)))
        native.train_epoch(rows, self._network, self._state, rule, logits)

        self._steps_done += math.ceil(len(order) / rule.batch_size)
        self._weights_are_shown = False
        targets = arrays[1:]
        if len(order) < len(data.X):  # a callback has said stop: the other rows have no outputs
            logits = logits[order]
            targets = gather(targets, tf.constant(order))
        metrics, _ = data.score(tf.constant(logits), *targets)
        return dict(metrics)

    def evaluate(self, arrays: Tensors, *, predicts: bool = True) -> Scored:
        """Return metrics and predictions over all rows, as `evaluate` and `predict` would.

        Args:
            arrays: X, y and perhaps weights.
            predicts: Of no consequence here; see `CompiledSteps.evaluate`.
        """
        data = self._data_of(arrays)
        logits = np.empty((len(data.X), self._plain.n_outputs), np.float32)
        native.forward(data.X, self._network.table, self._state.params, logits)
        return Scored(*data.score(tf.constant(logits), *arrays[1:]))

    def _rule(self, batch_size: int) -> formats.Rule:
        """Return the rule by the optimizer's settings, which a callback may have changed."""
        optimizer = self._model.optimizer
        momentum = 0.0  # also where it was switched on too late: there are no moments
        if self._variables.first_moments:
            momentum = getattr(optimizer, "momentum", getattr(optimizer, "beta_1", 0.0))

        rho = getattr(optimizer, "rho", getattr(optimizer, "beta_2", 0.0))
        rate = float(read(keras_internals.learning_rate_of(optimizer)))

        return formats.Rule(
            batch_size=batch_size,
            loss=self._plain.loss,
            optimizer=_optimizer_number(optimizer),
            steps_done=self._steps_done,
            lr=np.float32(rate),
            momentum=np.float32(momentum),
            rho=np.float32(rho),
            momentum_rest=np.float32(1 - momentum),
            rho_rest=np.float32(1 - rho),
            epsilon=np.float32(getattr(optimizer, "epsilon", 0.0)),
            weight_decay=np.float32(optimizer.weight_decay or 0.0),
        )

    def _data_of(self, arrays: Tensors) -> _Data:
        """Return rows as the machine code takes them, prepared once for each set of tensors."""
        key = tuple(map(id, arrays))
        if key not in self._data:
            self._data[key] = self._prepared(arrays)
        return self._data[key]

    def _prepared(self, arrays: Tensors) -> _Data:
        X, y, *weights = (np.asarray(array).astype(np.float32, copy=False) for array in arrays)
        self._plain.check_rows(X, y, *weights)
        if self._plain.loss == formats.SPARSE:
            y = np.trunc(y)  # Keras casts class numbers to integers
        return _Data(
            tensors=arrays,
            X=np.ascontiguousarray(X.reshape(len(X), -1)),
            y=np.ascontiguousarray(y.reshape(len(y), -1)),
            weights=np.ascontiguousarray(weights[0].reshape(-1)) if weights else _NO_WEIGHTS,
            score=score_for(self._compile_config, self._plain, arrays),
        )


_NO_WEIGHTS = np.empty(0, np.float32)


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

    has_compiler = not config.DISABLE_JIT
    is_small = model.count_params() <= MAX_PARAMETERS
    has_small_batches = min(batch_size, count_rows(arrays)) <= MAX_BATCH
    on_cpu = not tf.config.list_logical_devices("GPU")
    by_position = all(isinstance(array, tf.Tensor) for array in arrays) and len(arrays) > 1
    if has_compiler and is_small and has_small_batches and on_cpu and by_position:
        network = network_of(model, arrays)
        if network is not None:
            return NativeSteps(model, network)
    return graph_for(model, arrays, batch_size)


def _state_variables(model: keras.Model) -> formats.State:
    """Return the variables of `formats.State`: weights, and moments in the order of these."""
    optimizer = model.optimizer
    has_second = type(optimizer) is not keras.optimizers.SGD
    return formats.State(
        params=list(model.trainable_variables),
        first_moments=keras_internals.first_moments(optimizer),
        second_moments=keras_internals.second_moments(optimizer) if has_second else [],
    )


def _optimizer_number(optimizer: keras.optimizers.Optimizer) -> int:
    if type(optimizer) is keras.optimizers.SGD:
        return formats.NESTEROV if optimizer.nesterov else formats.SGD
    if type(optimizer) is keras.optimizers.RMSprop:
        return formats.RMSPROP
    return formats.ADAM


def _write(variables: Sequence[Any], vector: Array) -> None:
    """Give variables, one after another, the numbers of a vector."""
    start = 0
    for variable in variables:
        stop = start + math.prod(variable.shape)
        assign(variable, vector[start:stop].reshape(variable.shape))
        start = stop
