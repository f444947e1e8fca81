"""Plain networks of any width in one graph.

Its variables have no fixed sizes, so a new width is assigned, not traced. Tracing a structure costs
0.5-1 s, more than most trials of a few epochs train; a search over widths would pay it for nearly
every trial. XLA compiles for one width, from this graph.

Worth its code: twelve widths that machine code leaves to a graph (8 inputs, two hidden layers with
an L2 penalty, Adam, 11,610 rows, one core) took 5.1 s instead of 10.2 with 5 epochs each, 9.1 s
instead of 12.1 with 15 (Keras 3.15, TensorFlow 2.21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tuning.trainer import keras_internals
from tuning.trainer.assigned import OPTIMIZERS

_LAYERS = (
    keras.layers.InputLayer,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.Activation,
    keras.layers.Flatten,
)
_REGULARIZERS = (type(None), keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)


def is_elastic(model: keras.Model) -> bool:
    """Whether the same graph serves other widths of the hidden layers.

    Nothing in it may depend on their sizes.
    """
    optimizer = model.optimizer
    if type(model) is not keras.Sequential or type(optimizer) not in OPTIMIZERS:
        return False
    writes_sizes = optimizer.use_ema or optimizer.gradient_accumulation_steps  # into the graph
    if writes_sizes:
        return False
    if any(type(layer) not in _LAYERS for layer in model.layers):
        return False

    dense = _dense_layers(model)
    if len(dense) < 2 or dense[-1] is not _last_weighted_layer(model):
        return False
    after_first = model.layers[model.layers.index(dense[0]) :]
    if any(type(layer) is keras.layers.Flatten for layer in after_first):
        return False
    return all(map(_is_plain, dense))


def without_widths(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return an elastic model's configuration without what depends on its hidden widths."""
    layers = [{**layer, "build_config": None} for layer in config["layers"]]
    dense = [layer for layer in layers if layer["class_name"] == "Dense"]
    for layer in dense[:-1]:
        layer["config"] = {**layer["config"], "units": "assigned"}
    return {**config, "layers": layers}


def make_elastic(model: keras.Model) -> None:
    """Give an elastic model, built and not compiled, variables of any width.

    The sizes of inputs and outputs stay known.
    """
    dense = _dense_layers(model)
    for layer in dense:
        inputs = layer.kernel.shape[0] if layer is dense[0] else None
        units = layer.units if layer is dense[-1] else None
        _free_shape(keras_internals.kernel_variable(layer), [inputs, units])
        if layer.use_bias:
            _free_shape(layer.bias, [units])
        if inputs is None:  # Keras would ask a call for the width the layer was built with
            layer.input_spec = keras.layers.InputSpec(min_ndim=2)


def make_slots_elastic(optimizer: keras.optimizers.Optimizer) -> None:
    """Do the same for what the optimizer keeps of each weight."""
    for variable in optimizer.variables:
        n_axes = len(variable.shape)
        if n_axes:
            _free_shape(variable, [None] * n_axes)


def take_sizes(source: keras.Model, target: keras.Model) -> None:
    """Note in `target`, an elastic model, the sizes of `source`: callbacks ask for them."""
    for theirs, ours in zip(_all_variables(source), _all_variables(target), strict=True):
        keras_internals.copy_shape(theirs, ours)


def _all_variables(model: keras.Model) -> list[Any]:
    return [*model.weights, *model.optimizer.variables]


def _free_shape(variable: Any, shape: list[int | None]) -> None:
    free = tf.Variable(
        variable.value,
        shape=tf.TensorShape(shape),
        trainable=variable.trainable,
        name=variable.name,
    )
    keras_internals.set_value(variable, free)


def _dense_layers(model: keras.Model) -> list[keras.layers.Dense]:
    return [layer for layer in model.layers if type(layer) is keras.layers.Dense]


def _last_weighted_layer(model: keras.Model) -> keras.layers.Layer | None:
    weighted = [layer for layer in model.layers if layer.trainable_weights]
    return weighted[-1] if weighted else None


def _is_plain(layer: keras.layers.Dense) -> bool:
    regularizers = (layer.kernel_regularizer, layer.bias_regularizer, layer.activity_regularizer)
    return (
        len(layer.output.shape) == 2  # with more, Keras looks for the axis of the bias by its size
        and all(type(regularizer) in _REGULARIZERS for regularizer in regularizers)
        and layer.kernel_constraint is None
        and layer.bias_constraint is None
        and not layer.lora_enabled
        and layer.quantization_mode is None
    )
