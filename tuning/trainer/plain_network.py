"""Which Keras models `native` can train, and what it needs to know of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tuning.data.dataset import Array
from tuning.trainer import keras_internals
from tuning.trainer.elastic import is_elastic
from tuning.trainer.graphs import Tensors
from tuning.trainer.native import formats
from tuning.trainer.structure import adds_up, structure_of
from tuning.trainer.windows import WindowTensor

_ACTIVATIONS: Mapping[Any, int] = {
    keras.activations.linear: formats.LINEAR,
    keras.activations.relu: formats.RELU,
    keras.activations.tanh: formats.TANH,
    keras.activations.sigmoid: formats.SIGMOID,
    keras.activations.elu: formats.ELU,
    keras.activations.selu: formats.SELU,
    keras.activations.softmax: formats.SOFTMAX,
}
_LOSSES: Mapping[Any, int] = {
    keras.losses.mean_squared_error: formats.MSE,
    keras.losses.mean_absolute_error: formats.MAE,
    keras.losses.huber: formats.HUBER,
    keras.losses.binary_crossentropy: formats.BINARY,
    keras.losses.categorical_crossentropy: formats.CATEGORICAL,
    keras.losses.sparse_categorical_crossentropy: formats.SPARSE,
}
_ACTIVATION_NAMES = {number: function.__name__ for function, number in _ACTIVATIONS.items()}
_ACTIVATION_OF_ENTROPY = {
    formats.BINARY: formats.SIGMOID,
    formats.CATEGORICAL: formats.SOFTMAX,
    formats.SPARSE: formats.SOFTMAX,
}
_OPTIMIZER_SETTINGS_LEFT_OUT = (
    "clipnorm",
    "global_clipnorm",
    "clipvalue",
    "loss_scale_factor",
    "amsgrad",
    "centered",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class PlainNetwork:
    """What of a Keras model the machine code needs to know.

    Attributes:
        table: See `formats.Network`.
        dropouts: For each dense layer the Keras layer that drops its inputs, or None.
        loss: Its number in `formats`.
        activation: That of the outputs, by Keras' name.
    """

    table: Array
    dropouts: Sequence[keras.layers.Dropout | None]
    loss: int
    activation: str

    @property
    def n_features(self) -> int:
        """Inputs of the first layer."""
        return int(self.table[0, formats.INPUTS])

    @property
    def n_outputs(self) -> int:
        """Units of the last layer."""
        return int(self.table[-1, formats.INPUTS])

    def dropout_rates(self) -> Array:
        """Return the share of each layer's inputs that is dropped, float32."""
        rates = [0.0 if layer is None else layer.rate for layer in self.dropouts]
        return np.array(rates, np.float32)

    def check_rows(self, X: Array, *others: Array) -> None:
        """Check rows before they go to machine code, which would read and write beyond them.

        Raises:
            ValueError: X has other features than the network, there are no rows, or not equally
                many everywhere.
        """
        if math.prod(X.shape[1:]) != self.n_features:
            raise ValueError(
                f"the network takes {self.n_features} features a row, "
                f"X has {math.prod(X.shape[1:])}: {X.shape}"
            )

        same_length = all(len(array) == len(X) for array in others)
        if not same_length or not len(X):
            shapes = ", ".join(str(array.shape) for array in (X, *others))
            raise ValueError(
                "X, y and weights must have as many rows as each other, at least one; "
                f"received {shapes}"
            )


@dataclass(eq=False)
class _PlainLayer:
    """A dense layer, its activation by its number, and the layer that drops its inputs."""

    dense: keras.layers.Dense
    activation: int
    dropout: keras.layers.Dropout | None


def network_of(model: keras.Model, arrays: Tensors) -> PlainNetwork | None:
    """Return what `native` must know to train a model as `fit` would; None where it cannot.

    Args:
        model: Built and compiled.
        arrays: X, y and perhaps sample weights, rows first.
    """
    if not is_elastic(model) or not adds_up(model) or not _has_plain_settings(model):
        return None
    if structure_of(model, arrays, 0, elastic=True) is None:  # something in it is not Keras' own
        return None
    if any(isinstance(array, WindowTensor) for array in arrays):  # it would write them out
        return None

    layers = _plain_layers(model)
    if layers is None:
        return None
    activation = layers[-1].activation
    loss = _loss_number(model, activation)
    if loss is None:
        return None

    network = PlainNetwork(
        table=_table_of(layers),
        dropouts=[layer.dropout for layer in layers],
        loss=loss,
        activation=_ACTIVATION_NAMES[activation],
    )
    return network if _shapes_fit(network, model, arrays) else None


def _has_plain_settings(model: keras.Model) -> bool:
    """Whether there are no penalties, constraints, frozen weights, clipped gradients or float16."""
    weights = model.trainable_variables
    if len(weights) < len(model.weights) or model.losses:
        return False

    plain_weights = all(
        weight.regularizer is None and weight.constraint is None and weight.dtype == "float32"
        for weight in weights
    )
    plain_layers = all(
        layer.activity_regularizer is None and layer.compute_dtype == "float32"
        for layer in model.layers
    )
    plain_inputs = model.inputs[0].dtype in ("float32", "float64")
    return plain_weights and plain_layers and plain_inputs and _has_plain_optimizer(model)


def _has_plain_optimizer(model: keras.Model) -> bool:
    optimizer = model.optimizer
    if type(optimizer) is keras.optimizers.Nadam:
        return False
    if not isinstance(keras_internals.learning_rate_of(optimizer), keras.Variable):
        return False  # a schedule
    if any(getattr(optimizer, name, None) for name in _OPTIMIZER_SETTINGS_LEFT_OUT):
        return False

    if not optimizer.built:
        return True
    # It may have been built for the weights of another model; only these must it change.
    own = [id(weight) for weight in model.trainable_variables]
    return [id(weight) for weight in keras_internals.built_for(optimizer)] == own


def _plain_layers(model: keras.Model) -> list[_PlainLayer] | None:
    """Return the dense layers of a model, each with what stands around it.

    None where a layer is of another kind, or stands where the machine code has no place for it.
    """
    layers: list[_PlainLayer] = []
    dropout: keras.layers.Dropout | None = None  # waits for the dense layer after it
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            activation = _ACTIVATIONS.get(layer.activation)
            if activation is None:
                return None
            layers.append(_PlainLayer(layer, activation, dropout))
            dropout = None
        elif isinstance(layer, keras.layers.Activation):
            activation = _ACTIVATIONS.get(layer.activation)
            follows_linear = layers and layers[-1].activation == formats.LINEAR
            if activation is None or dropout is not None or not follows_linear:
                return None
            layers[-1].activation = activation
        elif isinstance(layer, keras.layers.Dropout):
            if dropout is not None or layer.noise_shape is not None:
                return None
            dropout = layer if layer.rate > 0 else None
        elif isinstance(layer, keras.layers.Flatten) and layer.data_format != "channels_last":
            return None

    softmax_within = any(layer.activation == formats.SOFTMAX for layer in layers[:-1])
    return None if softmax_within or dropout is not None else layers


def _table_of(layers: Sequence[_PlainLayer]) -> Array:
    """Return the table of `formats.Network`; parameters are in the order that Keras has them."""
    table = np.zeros((len(layers) + 1, 5), np.int64)
    table[:, formats.BIAS] = formats.NO_BIAS
    n_parameters = 0
    n_inputs = 0
    for row, layer in zip(table, layers, strict=False):
        inputs, outputs = layer.dense.kernel.shape
        row[formats.INPUTS] = inputs
        row[formats.INPUTS_BEFORE] = n_inputs
        row[formats.ACTIVATION] = layer.activation
        row[formats.KERNEL] = n_parameters
        n_parameters += inputs * outputs
        n_inputs += inputs
        if layer.dense.use_bias:
            row[formats.BIAS] = n_parameters
            n_parameters += outputs

    table[-1, formats.INPUTS] = layers[-1].dense.units
    table[-1, formats.INPUTS_BEFORE] = n_inputs
    return table


def _shapes_fit(network: PlainNetwork, model: keras.Model, arrays: Tensors) -> bool:
    """Whether X, y and weights have the shapes of the network, or one that Keras takes for it."""
    x_shape, y_shape, *weight_shapes = (tuple(array.shape[1:]) for array in arrays)

    expected = model.input_shape[1:]
    x_shapes = [expected, (*expected, 1)]
    if expected == (1,):
        x_shapes.append(())

    outputs = 1 if network.loss == formats.SPARSE else network.n_outputs
    y_shapes: list[tuple[int, ...]] = [(outputs,)]
    if outputs == 1:
        y_shapes.append(())

    plain_weights = all(shape in ((), (1,)) for shape in weight_shapes)
    return x_shape in x_shapes and y_shape in y_shapes and plain_weights


def _loss_number(model: keras.Model, activation: int) -> int | None:
    """Return the loss by its number in `formats`; None where it is another one.

    Args:
        model: Compiled.
        activation: That of the outputs, by its number.
    """
    arguments = keras_internals.compile_arguments(model)
    argument = arguments["loss"]
    if arguments.get("loss_weights") is not None or isinstance(argument, dict | list | tuple):
        return None
    if argument in ("crossentropy", "ce"):  # y decides which one
        return None

    function = keras.losses.get(argument)
    loss = _LOSSES.get(getattr(function, "fn", function))
    if loss is None:
        return None

    settings = keras_internals.loss_settings(function)
    from_logits = settings.pop("from_logits", False)
    last_axis = settings.pop("axis", -1) == -1
    unit_delta = settings.pop("delta", 1.0) == 1
    if not last_axis or not unit_delta or any(settings.values()):  # label_smoothing, ignore_class
        return None

    if loss not in _ACTIVATION_OF_ENTROPY:
        fits = activation != formats.SOFTMAX
    elif from_logits:
        fits = activation == formats.LINEAR
    else:
        fits = activation == _ACTIVATION_OF_ENTROPY[loss]
    return loss if fits else None
