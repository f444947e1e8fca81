"""Which models have equal graphs, so that one compiled step serves them all.

Their configurations tell, as far as everything in them is Keras' own.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tuning.trainer import keras_internals
from tuning.trainer.assigned import assigned_names
from tuning.trainer.elastic import without_widths
from tuning.trainer.graphs import Tensors, any_rows
from tuning.trainer.kernels import by_kernel

_ASSIGNED = "assigned"
"""Stands in a structure for a number that is assigned to the graph's variables."""

_ROW_LOSSES = (
    keras.losses.MeanSquaredError,
    keras.losses.MeanAbsoluteError,
    keras.losses.MeanAbsolutePercentageError,
    keras.losses.MeanSquaredLogarithmicError,
    keras.losses.Huber,
    keras.losses.LogCosh,
    keras.losses.Poisson,
    keras.losses.KLDivergence,
    keras.losses.BinaryCrossentropy,
    keras.losses.BinaryFocalCrossentropy,
    keras.losses.CategoricalCrossentropy,
    keras.losses.CategoricalFocalCrossentropy,
    keras.losses.SparseCategoricalCrossentropy,
    keras.losses.Hinge,
    keras.losses.SquaredHinge,
    keras.losses.CategoricalHinge,
    keras.losses.CosineSimilarity,
)
_ROW_FUNCTIONS = tuple(loss().fn for loss in _ROW_LOSSES)  # what their names stand for
_BATCH_METRICS = (keras.metrics.PearsonCorrelation, keras.metrics.ConcordanceCorrelation)


def structure_of(
    model: keras.Model, arrays: Tensors, batch_size: int, *, elastic: bool
) -> str | None:
    """Return equal texts for models whose graphs are equal; None where no configuration tells.

    Args:
        model: Built and compiled.
        arrays: X, y and perhaps weights.
        batch_size: Of no consequence where loss and metrics do not depend on how validation is cut.
        elastic: Whether the graph takes any width.
    """
    try:
        compile_config = _compile_config(model)
        model_config = model.get_config()
        optimizer = compile_config["optimizer"]["config"]
    except (NotImplementedError, TypeError, KeyError, ValueError):
        return None

    is_keras = type(model).__module__.startswith("keras.")
    if not is_keras or not _only_keras(model_config) or not _only_keras(compile_config):
        return None
    if not _config_holds_all(model) or _has_other_precision(model):
        return None

    optimizer["name"] = ""  # counted up by Keras, of no consequence
    for name in ("learning_rate", *assigned_names(model.optimizer)):
        if isinstance(optimizer.get(name), float):
            optimizer[name] = _ASSIGNED
    parts = {
        "class": type(model).__qualname__,
        "model": without_widths(model_config) if elastic else model_config,
        "compile": compile_config,
        "variables": facts_of(model),
        "arrays": repr(any_rows(arrays)),
        "batch_size": None if adds_up(model) else batch_size,
        "kernel": by_kernel(model.optimizer),
    }
    return json.dumps(parts, sort_keys=True, default=repr)


def _has_other_precision(model: keras.Model) -> bool:
    """Whether a weight is not of Keras' floatx.

    The optimizer then computes with its settings in the weight's precision, and the variables that
    stand for settings have one only.
    """
    return any(weight.dtype != keras.config.floatx() for weight in model.trainable_variables)


def facts_of(model: keras.Model) -> list[list[str]]:
    """Return what may be set on each variable, which the configuration of a layer need not say."""
    return [
        [
            str(variable.trainable),
            _description(getattr(variable, "regularizer", None)),
            _description(getattr(variable, "constraint", None)),
        ]
        for variable in model.variables
    ]


def _description(item: Any) -> str:
    """Return equal texts for equal regularisers or constraints; the user's own equals no other."""
    if item is None:
        return ""
    if not type(item).__module__.startswith("keras."):
        return repr(item)
    return f"{type(item).__qualname__} {item.get_config()}"


def adds_up(model: keras.Model) -> bool:
    """Whether loss and metrics are means over rows, the same however the rows are cut into batches.

    What is not known to be so is not: Dice sums over a batch, a loss used as a metric counts 1 a
    batch, a mask weighs by what is left of a batch, an own layer may add any loss.
    """
    try:
        config = _compile_config(model)
    except (NotImplementedError, TypeError, ValueError):
        return False

    layers = keras_internals.all_layers(model)  # the model is one of them
    if not all(type(layer).__module__.startswith("keras.") for layer in layers):
        return False
    if not _only_keras(config) or any(map(_is_masking, layers)):
        return False

    arguments = keras_internals.compile_arguments(model)
    n_losses = max(len(_leaves(arguments["loss"])), len(getattr(model, "outputs", None) or ()))
    if n_losses > 1:  # Keras averages the loss of each over the batches, the last one as the others
        return False
    metrics = [*_leaves(arguments.get("metrics")), *_leaves(arguments.get("weighted_metrics"))]
    losses_add_up = all(map(_loss_adds_up, _leaves(arguments["loss"])))
    return losses_add_up and all(map(_metric_adds_up, metrics))


def _is_masking(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.Masking) or bool(getattr(layer, "mask_zero", False))


def _loss_adds_up(item: Any) -> bool:
    if isinstance(item, str):
        return item in ("crossentropy", "ce") or keras.losses.get(item) in _ROW_FUNCTIONS
    if type(item) not in _ROW_LOSSES or item.reduction != "sum_over_batch_size":
        return False
    ignores_rows = getattr(item, "ignore_class", None) is not None
    return not ignores_rows and _is_along_last_axis(item)


def _metric_adds_up(item: Any) -> bool:
    if item in ("accuracy", "acc", "crossentropy", "ce"):
        return True
    metric = keras.metrics.get(item) if isinstance(item, str) else item
    if isinstance(metric, keras.metrics.MeanMetricWrapper):
        return _is_along_last_axis(metric)
    if isinstance(metric, keras.metrics.Metric):
        return type(metric) not in _BATCH_METRICS
    # Else it was the name of a function, one number a row.
    return not isinstance(metric, keras.losses.Loss)


def _is_along_last_axis(item: Any) -> bool:
    axes = (getattr(item, "axis", -1), keras_internals.loss_settings(item).get("axis"))
    return all(axis in (None, -1) for axis in axes)


def _only_keras(config: Any) -> bool:
    """Whether every object named is Keras' own: a user's function is no more than a name there."""
    if isinstance(config, dict):
        if config.get("class_name") in ("function", "Lambda", "__lambda__"):
            return False
        if "registered_name" in config and not str(config.get("module")).startswith("keras"):
            return False
        return all(map(_only_keras, config.values()))
    if isinstance(config, list | tuple):
        return all(map(_only_keras, config))
    return config is None or isinstance(config, str | int | float | bool | np.generic)


def _config_holds_all(model: keras.Model) -> bool:
    """Whether nothing was set after construction that a configuration does not hold."""
    optimizer = model.optimizer
    if keras_internals.leaves_out_of_weight_decay(optimizer):
        return False
    if any(name in vars(model) for name in ("call", "compute_loss", "compute_metrics")):
        return False

    for layer in keras_internals.all_layers(model):
        if not layer.trainable:
            return False
        if hasattr(layer, "adapt"):  # Normalization keeps constants beside its weights
            return False

    arguments = keras_internals.compile_arguments(model)
    wrapped = getattr(optimizer, "inner_optimizer", None)  # Keras wraps it for float16
    if arguments["optimizer"] not in (optimizer, wrapped):
        return False
    return all(
        _config_remakes(item)
        for name in ("loss", "metrics", "weighted_metrics")
        for item in _leaves(arguments.get(name))
    )


def _config_remakes(item: Any) -> bool:
    """Whether a loss or metric made from the configuration is the same.

    That of Keras' `Huber` lacks its `delta`.
    """
    if not isinstance(item, keras.losses.Loss | keras.metrics.Metric):
        return True
    remade = type(item).from_config(item.get_config())
    return _plain_values(vars(remade)) == _plain_values(vars(item))


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is a number, a text or a list of these, nested ones too."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            plain[name] = _plain_values(value)
        elif value is None or isinstance(value, str | int | float | bool | list | tuple):
            plain[name] = repr(value)
    return plain


def _leaves(nested: Any) -> list[Any]:
    """Return the losses or metrics given to `compile`, however they are nested."""
    if nested is None:
        return []
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, list | tuple):
        return [leaf for item in nested for leaf in _leaves(item)]
    return [nested]


def _compile_config(model: keras.Model) -> dict[str, Any]:
    with warnings.catch_warnings():  # of a lambda, which is not going to be saved
        warnings.simplefilter("ignore", UserWarning)
        return dict(model.get_compile_config())
