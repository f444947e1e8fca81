"""`Signs`: what a diagnosis needs to know of a trained model, from one pass over a few rows,
forward and back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tuning.data.dataset import Array, Task
from tuning.trainer.keras_internals import graph_nodes
from tuning.trainer.outputs import link_of
from tuning.trainer.train import Rows, on_device

ROWS = 512
"""Most validation rows that are looked at; more would not change a verdict."""

SHALLOW = 3
"""Kernels of a network too shallow for its gradients to vanish while it learns: two hidden layers.
"""

LEARNT = 0.5
"""Training loss, as a share of the best constant's, below which a network has learnt."""


@dataclass(frozen=True)
class Gradient:
    """One layer's kernel: the norms of the gradient of the loss and of the kernel itself."""

    layer: str
    norm: float
    weights: float


@dataclass(frozen=True)
class Signs:
    """What was seen; empty where a model has no single graph of layers to look into.

    Attributes:
        dead: Each relu layer's name and the share of its units (channels) that are 0 for every row.
        first, last: The gradients at the first and the last layer that has a kernel; None where not
            looked at.
        constant_loss: The loss of the best constant prediction, regularisation included; None where
            unknown.
        lr: The optimizer's learning rate; None where it has none.
    """

    dead: tuple[tuple[str, float], ...] = ()
    first: Gradient | None = None
    last: Gradient | None = None
    constant_loss: float | None = None
    lr: float | None = None


def read_signs(model: keras.Model, rows: Rows, task: Task, loss: float = math.inf) -> Signs:
    """Look at a trained model with up to `ROWS` rows; weights, metrics and random states stay as
    they are.

    Gradients are left out where they cannot be ill: in a network of at most `SHALLOW` kernels that
    has learnt. That halves the cost, most of which is the first call of each op after a seed has
    been set.

    Args:
        model: Built and compiled.
        rows: Validation rows.
        task: How the targets are read.
        loss: The training loss at the end.
    """
    lr = _learning_rate(model)
    if (
        len(getattr(model, "inputs", None) or ()) != 1
        or len(getattr(model, "outputs", None) or ()) != 1
    ):
        return Signs(lr=lr)  # a subclass's own `call`, or several inputs
    x, y = on_device(rows.X[:ROWS]), on_device(rows.y[:ROWS])
    relus = dict(_relus(model))
    kernels = [v for v in model.trainable_variables if len(v.shape) >= 2]
    look = keras.Function(model.inputs, [*relus.values(), model.outputs[0]])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        ends = [kernels[0], kernels[-1]] if len(kernels) > 1 else []
        tape.watch([v.value for v in ends])
        *active, predicted = look([x])
        constant = best_constant(rows.y[:ROWS], int(predicted.shape[-1]), task, link_of(model))
        again = tf.constant(np.broadcast_to(constant, predicted.shape).astype(predicted.dtype.name))
        constant_loss = float(model.compute_loss(x=None, y=y, y_pred=again, training=False))
        if len(kernels) <= SHALLOW and loss < LEARNT * constant_loss:
            ends = []
        target = model.compute_loss(x=None, y=y, y_pred=predicted, training=False) if ends else None
    gradients = tape.gradient(target, [v.value for v in ends]) if ends else []
    found = [_gradient(v, g) for v, g in zip(ends, gradients, strict=True) if g is not None]
    first, last = found if len(found) == 2 else (None, None)
    dead = tuple(
        (name, dead_share(values.numpy())) for name, values in zip(relus, active, strict=True)
    )
    return Signs(dead, first, last, constant_loss, lr)


def dead_share(values: Array) -> float:
    """Return the share of units, those of the last axis, that are 0 everywhere else: `(rows, …,
    units)`.
    """
    return float(np.mean(np.all(values.reshape(-1, values.shape[-1]) <= 0, axis=0)))


def best_constant(y: Array, outputs: int, task: Task, link: str) -> Array:
    """Return the output that fits best without looking at the input, as a model would give it:
    `(outputs,)`.

    Args:
        y: `(rows,)` or `(rows, …)`: targets, class numbers, or one column a class or label.
        outputs: Units of the last layer.
        task: regression: the mean; the others: how frequent each class or label is.
        link: "sigmoid" or "softmax" where the model gives logits, else "".
    """
    columns = np.asarray(y, dtype=float).reshape(len(y), -1)
    if task != "regression" and columns.shape[1] == 1 and outputs > 1:
        columns = columns == np.arange(outputs)
    mean: Array = columns.mean(axis=0)
    if task == "regression":
        return mean
    if columns.min() < 0:  # labels −1 and 1, for the hinge loss
        return np.where(mean < 0, -1.0, 1.0)
    share = np.clip(mean, 1e-6, 1 - 1e-6)
    return (
        np.log(share / (1 - share))
        if link == "sigmoid"
        else np.log(share)
        if link == "softmax"
        else share
    )


def _relus(model: keras.Model) -> Iterator[tuple[str, keras.KerasTensor]]:
    """Yield the name and the output of each layer that ends with a relu; of a layer used twice, of
    its last use.
    """
    for node in graph_nodes(model):
        layer = node.operation
        plain = getattr(layer, "activation", None) in (
            keras.activations.relu,
            keras.activations.relu6,
        )
        own = isinstance(layer, keras.layers.ReLU) and not layer.negative_slope
        if plain or own:
            yield layer.name, node.outputs[0]


def _gradient(kernel: keras.Variable, gradient: tf.Tensor) -> Gradient:
    dense = tf.convert_to_tensor(gradient).numpy()  # that of an embedding comes in slices
    return Gradient(
        kernel.path.split("/")[-2],
        float(np.linalg.norm(dense)),
        float(np.linalg.norm(kernel.numpy())),
    )


def _learning_rate(model: keras.Model) -> float | None:
    rate = getattr(model.optimizer, "learning_rate", None)
    return None if rate is None else float(rate)
