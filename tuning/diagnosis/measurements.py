"""`Signs`: what a diagnosis needs to know of a trained model, from one pass over a few rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tuning.data.arrays import Array, only
from tuning.data.dataset import Task, Tasks
from tuning.data.lazy import LazyArray
from tuning.trainer.keras_internals import graph_nodes
from tuning.trainer.outputs import link_of
from tuning.trainer.train import Rows, on_device

ROWS = 512
"""Most validation rows that are looked at; more would not change a finding."""

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
class ReluLayer:
    """A layer that ends with a relu, and the share of its units (channels) that are dead."""

    name: str
    dead_share: float


@dataclass(frozen=True)
class Inputs:
    """The column with the largest values of those that the first layer with a kernel takes.

    Attributes:
        layer: That takes it.
        column: Its place in the last axis, from 0.
        size: The median of its absolute values, which a few outliers do not move.
    """

    layer: str
    column: int
    size: float


@dataclass(frozen=True, kw_only=True)
class Signs:
    """What was seen; empty where a model has no single graph of layers to look into.

    Attributes:
        relus: The layers that end with a relu.
        first, last: The gradients at the first and the last layer that has a kernel; None where not
            looked at.
        inputs: What the first layer with a kernel takes, behind whatever scales it; None without
            such a layer.
        constant_loss: The loss of the best constant prediction, regularisation included; None where
            unknown.
        lr: The optimizer's learning rate; None where it has none.
    """

    relus: tuple[ReluLayer, ...] = ()
    first: Gradient | None = None
    last: Gradient | None = None
    inputs: Inputs | None = None
    constant_loss: float | None = None
    lr: float | None = None


def read_signs(model: keras.Model, rows: Rows, task: Tasks, loss: float = math.inf) -> Signs:
    """Look at a trained model with up to `ROWS` rows.

    Weights, metrics and random states stay as they are. Gradients are left out where they cannot be
    ill: in a network of at most `SHALLOW` kernels that has learnt. That halves the cost, most of
    which is the first call of each op after a seed has been set.

    Args:
        model: Built and compiled.
        rows: Validation rows.
        task: How the targets are read.
        loss: The training loss at the end.

    Raises:
        ValueError: The rows are several inputs or outputs by name.
    """
    lr = learning_rate(model)
    if not _is_one_array_each(rows) or isinstance(task, Mapping):
        raise ValueError("its inputs or outputs are several; only its curve was looked at")
    if not _has_one_input_and_output(model):
        return Signs(lr=lr)

    X = only(rows.X)
    first_rows = X.head(ROWS) if isinstance(X, LazyArray) else X[:ROWS]
    targets = only(rows.y)[: len(first_rows)]
    x = on_device(first_rows)
    y = on_device(targets)
    relus = dict(_relus(model))
    taken = dict(_first_inputs(model))
    outputs_of = keras.Function(model.inputs, [*taken.values(), *relus.values(), model.outputs[0]])
    kernels = [variable for variable in model.trainable_variables if len(variable.shape) >= 2]
    watched = [kernels[0], kernels[-1]] if len(kernels) > 1 else []

    # The tape watches two kernels alone: it need not record what leads to the others.
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([kernel.value for kernel in watched])
        *seen, predicted = outputs_of([x])
        constant_loss = _constant_loss(model, targets, y, predicted, task)
        if len(kernels) <= SHALLOW and loss < LEARNT * constant_loss:
            watched = []
        if watched:
            model_loss = model.compute_loss(x=None, y=y, y_pred=predicted, training=False)

    first = last = None
    if watched:
        # None where a kernel has no part in the output.
        values = tape.gradient(model_loss, [kernel.value for kernel in watched])
        if all(value is not None for value in values):
            first, last = map(_gradient, watched, values)

    inputs = None
    for name, values in zip(taken, seen, strict=False):  # one at most; the relus' come behind
        inputs = _largest(name, values.numpy())

    layers = []
    for name, outputs in zip(relus, seen[len(taken) :], strict=True):
        layers.append(ReluLayer(name, dead_share(outputs.numpy())))
    return Signs(
        relus=tuple(layers),
        first=first,
        last=last,
        inputs=inputs,
        constant_loss=constant_loss,
        lr=lr,
    )


def learning_rate(model: keras.Model) -> float | None:
    """Return the optimizer's learning rate; None where it has none."""
    rate = getattr(model.optimizer, "learning_rate", None)
    return None if rate is None else float(rate)


def _has_one_input_and_output(model: keras.Model) -> bool:
    """Whether there is one graph to look into: a subclass's own `call` has none."""
    inputs = getattr(model, "inputs", None) or ()
    outputs = getattr(model, "outputs", None) or ()
    return len(inputs) == 1 and len(outputs) == 1


def _is_one_array_each(rows: Rows) -> bool:
    """Whether X and y are an array each; by name they may be so for one input, too."""
    return not isinstance(rows.X, Mapping) and not isinstance(rows.y, Mapping)


def _constant_loss(
    model: keras.Model, targets: Array, y: tf.Tensor, predicted: tf.Tensor, task: Task
) -> float:
    """Return the model's loss if it predicted the best constant for every row.

    Args:
        model: Whose loss it is.
        targets, y: The targets, as they were given and as the loss takes them.
        predicted: The model's outputs, for their shape and type.
        task: How the targets are read.
    """
    constant = best_constant(targets, int(predicted.shape[-1]), task, link_of(model))
    of_every_row = np.broadcast_to(constant, predicted.shape).astype(predicted.dtype.name)
    loss = model.compute_loss(x=None, y=y, y_pred=tf.constant(of_every_row), training=False)
    return float(loss)


def dead_share(values: Array) -> float:
    """Return the share of units that are 0 everywhere.

    Args:
        values: `(rows, …, units)`.
    """
    by_unit = values.reshape(-1, values.shape[-1])
    dead = np.all(by_unit <= 0, axis=0)
    return float(np.mean(dead))


def best_constant(y: Array, outputs: int, task: Task, link: str) -> Array:
    """Return the output that fits best without looking at the input, `(outputs,)`.

    Args:
        y: `(rows,)` or `(rows, …)`: targets, class numbers, or one column a class or label.
        outputs: Units of the last layer.
        task: regression: the mean; the others: how frequent each class or label is.
        link: "sigmoid" or "softmax" where the model gives logits, else "".
    """
    columns = np.asarray(y, dtype=float).reshape(len(y), -1)
    if task != "regression" and columns.shape[1] == 1 and outputs > 1:  # class numbers
        columns = columns == np.arange(outputs)

    mean: Array = columns.mean(axis=0)
    if task == "regression":
        return mean
    if columns.min() < 0:  # labels −1 and 1, for the hinge loss
        return np.where(mean < 0, -1.0, 1.0)

    share: Array = np.clip(mean, 1e-6, 1 - 1e-6)
    if link == "sigmoid":
        share = np.log(share / (1 - share))
    elif link == "softmax":
        share = np.log(share)
    return share


def _first_inputs(model: keras.Model) -> Iterator[tuple[str, keras.KerasTensor]]:
    """Yield the name of the first layer with a kernel and what it takes; nothing without one."""
    for node in graph_nodes(model):
        if getattr(node.operation, "kernel", None) is not None:
            yield node.operation.name, node.input_tensors[0]
            return


def _largest(layer: str, values: Array) -> Inputs:
    """Find the column of the largest values.

    Args:
        layer: That takes them.
        values: `(rows, …, columns)`.
    """
    sizes = np.median(np.abs(values.reshape(-1, values.shape[-1])), axis=0)
    column = int(np.argmax(sizes))
    return Inputs(layer, column, float(sizes[column]))


def _relus(model: keras.Model) -> Iterator[tuple[str, keras.KerasTensor]]:
    """Yield the name and the output of each layer that ends with a relu.

    A layer that is used twice comes twice, its last use last.
    """
    for node in graph_nodes(model):
        layer = node.operation
        if _ends_with_relu(layer):
            yield layer.name, node.outputs[0]


def _ends_with_relu(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope
    activation = getattr(layer, "activation", None)
    return activation in (keras.activations.relu, keras.activations.relu6)


def _gradient(kernel: keras.Variable, gradient: tf.Tensor) -> Gradient:
    dense = tf.convert_to_tensor(gradient).numpy()  # that of an embedding comes in slices
    return Gradient(
        layer=kernel.path.split("/")[-2],
        norm=float(np.linalg.norm(dense)),
        weights=float(np.linalg.norm(kernel.numpy())),
    )
