"""Plain networks of any width in one graph: its variables have no fixed sizes, so a new width is
assigned, not traced.

Tracing a structure costs 0.5-1 s, more than most trials of a few epochs train; a search over widths
would pay it for nearly every trial. XLA compiles for one width, from this graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

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
    """Whether the same graph serves other widths of the hidden layers: nothing in it depends on
    their sizes.
    """
    if type(model) is not keras.Sequential or type(model.optimizer) not in OPTIMIZERS:
        return False
    dense = _dense(model)
    if (
        any(type(layer) not in _LAYERS for layer in model.layers)
        or len(dense) < 2
        or dense[-1] is not _weighted(model)
    ):
        return False
    if any(
        type(layer) is keras.layers.Flatten
        for layer in model.layers[model.layers.index(dense[0]) :]
    ):
        return False
    optimizer = model.optimizer
    if (
        optimizer.use_ema or optimizer.gradient_accumulation_steps
    ):  # these write sizes into the graph
        return False
    return all(map(_plain, dense))


def without_widths(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of an elastic model without what its hidden widths make different."""
    layers = [{**layer, "build_config": None} for layer in config["layers"]]
    dense = [layer for layer in layers if layer["class_name"] == "Dense"]
    for layer in dense[:-1]:
        layer["config"] = {**layer["config"], "units": "assigned"}
    return {**config, "layers": layers}


def make_elastic(model: keras.Model) -> None:
    """Give an elastic model, built and not compiled, variables of any width; sizes of inputs and
    outputs stay known.
    """
    dense = _dense(model)
    for layer in dense:
        inputs = layer.kernel.shape[0] if layer is dense[0] else None
        units = layer.units if layer is dense[-1] else None
        _free(layer._kernel, [inputs, units])
        if layer.use_bias:
            _free(layer.bias, [units])
        if inputs is None:  # Keras would ask a call for the width the layer was built with
            layer.input_spec = keras.layers.InputSpec(min_ndim=2)


def make_slots_elastic(optimizer: keras.optimizers.Optimizer) -> None:
    """The same for what the optimizer keeps of each weight."""
    for variable in optimizer.variables:
        if len(variable.shape):
            _free(variable, [None] * len(variable.shape))


def take_sizes(source: keras.Model, target: keras.Model) -> None:
    """Note in an elastic model the sizes of the one whose state it is given: callbacks ask for
    them.
    """
    for a, b in zip(_all(source), _all(target), strict=True):
        b._shape = a._shape


def _all(model: keras.Model) -> list[Any]:
    return [*model.weights, *model.optimizer.variables]


def _free(variable: Any, shape: list[int | None]) -> None:
    variable._value = tf.Variable(
        variable._value,
        shape=tf.TensorShape(shape),
        trainable=variable.trainable,
        name=variable.name,
    )


def _dense(model: keras.Model) -> list[keras.layers.Dense]:
    return [layer for layer in model.layers if type(layer) is keras.layers.Dense]


def _weighted(model: keras.Model) -> keras.layers.Layer | None:
    return next((layer for layer in reversed(model.layers) if layer.trainable_weights), None)


def _plain(layer: keras.layers.Dense) -> bool:
    regularizers = (layer.kernel_regularizer, layer.bias_regularizer, layer.activity_regularizer)
    return (
        len(layer.output.shape) == 2  # with more, Keras looks for the axis of the bias by its size
        and all(type(regularizer) in _REGULARIZERS for regularizer in regularizers)
        and layer.kernel_constraint is None
        and layer.bias_constraint is None
        and not layer.lora_enabled
        and layer.quantization_mode is None
    )
