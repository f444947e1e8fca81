"""Small graphs that compute losses, metrics and predictions from what the last layer gave.

Machine code trains; Keras' own losses and metrics score. One graph serves all networks of equal
loss and metrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf
from cachetools import LRUCache

from tuning.trainer import keras_internals
from tuning.trainer.compiled import scored
from tuning.trainer.graphs import Tensors, any_rows, graph_of
from tuning.trainer.plain_network import PlainNetwork

KEPT_HEADS = 24
"""Heads that a process keeps, the least recently used dropped first."""

_SAMPLE_ROWS = 32
"""Rows from which Keras learns the shapes of y and weights."""

Score: TypeAlias = Callable[..., tuple[dict[str, tf.Tensor], tf.Tensor]]
"""Takes what the last layer gave, y and perhaps weights; returns (metrics, predictions)."""


class _Head(NamedTuple):
    """A graph and the model whose metrics it counts with, which the graph would not keep alive."""

    score: Score
    model: keras.Model


_heads: LRUCache[str, _Head] = LRUCache(KEPT_HEADS)


def score_for(compiled: Mapping[str, Any], network: PlainNetwork, arrays: Tensors) -> Score:
    """Return the graph for losses and metrics: that of an earlier equal model, else a new one.

    Args:
        compiled: The model's `get_compile_config()`.
        network: The activation and the number of its outputs count.
        arrays: X, y and perhaps sample weights, rows first.
    """
    config = {**compiled, "optimizer": "sgd"}
    targets = tuple(array[:_SAMPLE_ROWS] for array in arrays[1:])
    specs = (tf.TensorSpec([None, network.n_outputs], tf.float32), *any_rows(targets))
    parts = [config, network.activation, *map(repr, specs)]
    key = json.dumps(parts, sort_keys=True, default=repr)
    if key not in _heads:
        model = _make_model(config, network, targets)
        _heads[key] = _Head(_make_graph(model, specs), model)
    return _heads[key].score


def _make_model(config: Mapping[str, Any], network: PlainNetwork, targets: Tensors) -> keras.Model:
    outputs = network.n_outputs
    # Not by the policy of the moment: what machine code trains is float32.
    activation = keras.layers.Activation(network.activation, dtype="float32")
    model = keras.Sequential([keras.Input((outputs,), dtype="float32"), activation])
    model.compile_from_config(config)
    logits = tf.zeros((targets[0].shape[0], outputs))
    keras_internals.build_from_batch(model, (logits, *targets))
    return model


def _make_graph(model: keras.Model, specs: tuple[tf.TensorSpec, ...]) -> Score:
    def score(*batch: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        model.reset_metrics()
        predicted = scored(model, *batch)
        return model.get_metrics_result(), predicted

    graph: Score = graph_of(score, specs).get_concrete_function()
    return graph
