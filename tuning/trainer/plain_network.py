"""Which Keras models `native` can train, and what it needs to know of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tuning.data.dataset import Array
from tuning.trainer.elastic import is_elastic
from tuning.trainer.native import epoch as native
from tuning.trainer.structure import Tensors, adds_up, structure_of

_ACTIVATIONS: Mapping[Any, int] = {
    keras.activations.linear: native.LINEAR,
    keras.activations.relu: native.RELU,
    keras.activations.tanh: native.TANH,
    keras.activations.sigmoid: native.SIGMOID,
    keras.activations.elu: native.ELU,
    keras.activations.selu: native.SELU,
    keras.activations.softmax: native.SOFTMAX,
}
_LOSSES: Mapping[Any, int] = {
    keras.losses.mean_squared_error: native.MSE,
    keras.losses.mean_absolute_error: native.MAE,
    keras.losses.huber: native.HUBER,
    keras.losses.binary_crossentropy: native.BINARY,
    keras.losses.categorical_crossentropy: native.CATEGORICAL,
    keras.losses.sparse_categorical_crossentropy: native.SPARSE,
}
_ACTIVATION_NAMES = {number: function.__name__ for function, number in _ACTIVATIONS.items()}
_OUTPUTS = {
    native.BINARY: native.SIGMOID,
    native.CATEGORICAL: native.SOFTMAX,
    native.SPARSE: native.SOFTMAX,
}
_SETTINGS_LEFT_OUT = (
    "clipnorm",
    "global_clipnorm",
    "clipvalue",
    "loss_scale_factor",
    "amsgrad",
    "centered",
)


@dataclass(frozen=True, eq=False)
class Network:
    """What of a Keras model the machine code needs to know.

    Attributes:
        table: See `native`.
        rates: Share of each layer's inputs that is dropped.
        dropouts: The Keras layer that drops them, or None.
        loss: Its number in `native`.
        activation: Of the outputs, by Keras' name.
    """

    table: Array
    rates: Array
    dropouts: Sequence[keras.layers.Dropout | None]
    loss: int
    activation: str

    def take(self, X: Array, *others: Array) -> None:
        """Check rows before they go to machine code, which would read and write beyond them.

        Raises:
            ValueError: X has other features than the network, there are no rows, or not equally
                many everywhere.
        """
        features, counts = math.prod(X.shape[1:]), {len(X), *map(len, others)}
        if features != self.table[0, 0]:
            raise ValueError(
                f"the network takes {self.table[0, 0]} features a row, X has {features}: {X.shape}"
            )
        if len(counts) > 1 or not len(X):
            shapes = ", ".join(str(array.shape) for array in (X, *others))
            raise ValueError(
                f"X, y and weights must have as many rows as each other, at least one; received {shapes}"
            )


def network_of(model: keras.Model, arrays: Tensors) -> Network | None:
    """Return what `native` must know to train a model as `fit` would; None where it cannot.

    Args:
        model: Built and compiled.
        arrays: X, y and perhaps sample weights, rows first.
    """
    if not (is_elastic(model) and _plain_settings(model) and adds_up(model)):
        return None
    if structure_of(model, arrays, 0, elastic=True) is None:  # something in it is not Keras' own
        return None
    found = _LayersRead()
    if not all(map(found.take, model.layers)) or found.dropout is not None:
        return None
    table, (x, y, *weight) = found.table(), (tuple(a.shape) for a in arrays)
    activation = int(table[-2, 1])
    loss = _loss(model, activation)
    outputs, expected = 1 if loss == native.SPARSE else int(table[-1, 0]), model.input_shape[1:]
    if x[1:] not in (expected, (*expected, 1), () if expected == (1,) else None):
        return None
    if loss is None or y[1:] not in ((outputs,), () if outputs == 1 else None):
        return None
    if weight and weight[0][1:] not in ((), (1,)):
        return None
    rates = np.array([0.0 if layer is None else layer.rate for layer in found.dropouts], np.float32)
    return Network(table, rates, found.dropouts, loss, _ACTIVATION_NAMES[activation])


def _plain_settings(model: keras.Model) -> bool:
    """Whether there are no penalties, constraints, frozen weights, clipped gradients or other
    precisions.
    """
    optimizer, weights = model.optimizer, model.trainable_variables
    if optimizer.built and list(map(id, optimizer._trainable_variables)) != list(map(id, weights)):
        return False  # another model's
    if type(optimizer) is keras.optimizers.Nadam or not isinstance(
        optimizer._learning_rate, keras.Variable
    ):
        return False
    if any(getattr(optimizer, name, None) for name in _SETTINGS_LEFT_OUT) or len(weights) < len(
        model.weights
    ):
        return False
    if any(
        v.regularizer is not None or v.constraint is not None or v.dtype != "float32"
        for v in weights
    ):
        return False
    return (
        not model.losses
        and model.inputs[0].dtype in ("float32", "float64")
        and all(
            layer.activity_regularizer is None and layer.compute_dtype == "float32"
            for layer in model.layers
        )
    )


class _LayersRead:
    """The layers of a model one after another; `take` says whether `native`'s table has room for
    one.
    """

    def __init__(self) -> None:
        self.dropouts: list[keras.layers.Dropout | None] = []
        self.dropout: keras.layers.Dropout | None = None
        self._rows: list[list[int]] = []
        self._activations: list[Any] = []
        self._parameters = self._inputs = self._outputs = 0

    def take(self, layer: keras.layers.Layer) -> bool:
        if isinstance(layer, keras.layers.Dense):
            return self._dense(layer)
        if isinstance(layer, keras.layers.Activation):
            return self._activation(layer)
        if isinstance(layer, keras.layers.Dropout):
            free, self.dropout = self.dropout is None, layer if layer.rate > 0 else self.dropout
            return free and layer.noise_shape is None
        return not isinstance(layer, keras.layers.Flatten) or layer.data_format == "channels_last"

    def table(self) -> Array:
        """Return the table of the layers taken."""
        rows = [*self._rows, [self._outputs, 0, -1, self._inputs]]
        return np.insert(np.array(rows, np.int64), 1, [*self._activations, native.LINEAR], axis=1)

    def _dense(self, layer: keras.layers.Dense) -> bool:
        inputs, self._outputs = layer.kernel.shape
        bias = self._parameters + inputs * self._outputs
        self._rows.append([inputs, self._parameters, bias if layer.use_bias else -1, self._inputs])
        self._parameters, self._inputs = (
            bias + self._outputs * layer.use_bias,
            self._inputs + inputs,
        )
        self.dropouts.append(self.dropout)
        self.dropout = None
        self._activations.append(_ACTIVATIONS.get(layer.activation))
        return self._activations[-1] is not None and native.SOFTMAX not in self._activations[:-1]

    def _activation(self, layer: keras.layers.Activation) -> bool:
        if self.dropout is not None or self._activations[-1:] != [native.LINEAR]:
            return False
        self._activations[-1] = _ACTIVATIONS.get(layer.activation)
        return self._activations[-1] is not None


def _loss(model: keras.Model, activation: int) -> int | None:
    """Return the loss by its number in `native`; None where it is another one."""
    given = model._compile_config.config
    if given.get("loss_weights") is not None or isinstance(given["loss"], dict | list | tuple):
        return None
    if given["loss"] in ("crossentropy", "ce"):  # which one y decides
        return None
    item = keras.losses.get(given["loss"])
    settings = dict(getattr(item, "_fn_kwargs", {}))
    loss = _LOSSES.get(getattr(item, "fn", item))
    if loss is None:
        return None
    logits, delta = settings.pop("from_logits", False), settings.pop("delta", 1.0)
    plain = (
        settings.pop("axis", -1) == -1 and delta == 1 and not any(settings.values())
    )  # label_smoothing, ignore_class
    expected = activation if loss not in _OUTPUTS else native.LINEAR if logits else _OUTPUTS[loss]
    fits = activation == expected and (loss in _OUTPUTS or activation != native.SOFTMAX)
    return loss if plain and fits else None
