"""Which models have equal graphs, so that one compiled step serves them all, as far as their
configurations tell.
"""

from __future__ import annotations

import json
import warnings
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tuning.trainer.assigned import assigned_names
from tuning.trainer.elastic import without_widths
from tuning.trainer.kernels import by_kernel

Tensors: TypeAlias = tuple[tf.Tensor, ...]


def structure_of(
    model: keras.Model, arrays: Tensors, batch_size: int, *, elastic: bool
) -> str | None:
    """Return equal texts for models whose graphs are equal; None where that cannot be told from the
    configuration.

    Args:
        model: Built and compiled.
        arrays: X, y and perhaps weights.
        batch_size: Of no consequence where loss and metrics do not depend on how validation is cut.
        elastic: Whether the graph takes any width.
    """
    try:
        compiled = _compile_config(model)
        config = {
            "class": type(model).__qualname__,
            "model": model.get_config(),
            "compile": compiled,
        }
        optimizer = compiled["optimizer"]["config"]
    except (NotImplementedError, TypeError, KeyError, ValueError):
        return None
    if not type(model).__module__.startswith("keras.") or not _only_keras(config):
        return None
    if not _said_by_config(model):
        return None
    optimizer["name"] = ""  # counted up by Keras, of no consequence
    for name in ("learning_rate", *assigned_names(model.optimizer)):
        if isinstance(optimizer.get(name), float):
            optimizer[name] = "assigned"
    if elastic:
        config["model"] = without_widths(config["model"])
    shapes = [(a.shape[1:].as_list(), a.dtype.name) for a in arrays]
    size = None if adds_up(model) else batch_size
    kernel = by_kernel(model.optimizer)
    return json.dumps([config, facts_of(model), shapes, size, kernel], sort_keys=True, default=repr)


def facts_of(model: keras.Model) -> list[list[str]]:
    """Return what may be set on each variable, which the configuration of a layer need not say."""
    return [
        [
            str(v.trainable),
            *(_named(getattr(v, name, None)) for name in ("regularizer", "constraint")),
        ]
        for v in model.variables
    ]


def _named(item: Any) -> str:
    if item is None or not type(item).__module__.startswith("keras."):
        return "" if item is None else repr(item)  # nobody's but this model's
    return f"{type(item).__qualname__} {item.get_config()}"


def _only_keras(config: Any) -> bool:
    """Whether every object named is Keras' own: of a user's function the configuration holds only
    the name.
    """
    if isinstance(config, dict):
        if config.get("class_name") in ("function", "Lambda", "__lambda__"):
            return False
        if "registered_name" in config and not str(config.get("module")).startswith("keras"):
            return False
        return all(map(_only_keras, config.values()))
    if isinstance(config, list | tuple):
        return all(map(_only_keras, config))
    return config is None or isinstance(config, str | int | float | bool | np.generic)


def _said_by_config(model: keras.Model) -> bool:
    """Whether nothing was set after construction that a configuration does not hold."""
    excluded = any(name.startswith("_exclude_from_weight_decay") for name in vars(model.optimizer))
    replaced = any(name in vars(model) for name in ("call", "compute_loss", "compute_metrics"))
    adapted = any(
        hasattr(layer, "adapt") for layer in _layers(model)
    )  # Normalization keeps constants beside weights
    given = model._compile_config.config
    used = (
        model.optimizer,
        getattr(model.optimizer, "inner_optimizer", None),
    )  # Keras wraps it for float16
    swapped = given["optimizer"] not in used
    objects = [
        item
        for name in ("loss", "metrics", "weighted_metrics")
        for item in _leaves(given.get(name))
    ]
    said = all(_config_says_all(item) for item in objects) and all(
        layer.trainable for layer in _layers(model)
    )
    return said and not (excluded or replaced or adapted or swapped)


def _config_says_all(item: Any) -> bool:
    """Whether a loss or metric made from the configuration is the same: that of Keras' `Huber`
    lacks its `delta`.
    """
    if not isinstance(item, keras.losses.Loss | keras.metrics.Metric):
        return True
    return _plain(vars(type(item).from_config(item.get_config()))) == _plain(vars(item))


def _plain(values: Any) -> dict[str, Any]:
    """Return what is a number, a text or a list of these, nested ones too."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found[name] = _plain(value)
        elif value is None or isinstance(value, str | int | float | bool | list | tuple):
            found[name] = repr(value)
    return found


def _leaves(given: Any) -> list[Any]:
    """Return the losses or metrics of `compile`, however they are nested."""
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, list | tuple):
        return [leaf for item in given for leaf in _leaves(item)]
    return [] if given is None else [given]


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    return list(model._flatten_layers())


def _compile_config(model: keras.Model) -> dict[str, Any]:
    with warnings.catch_warnings():  # of a lambda, which is not going to be saved
        warnings.simplefilter("ignore", UserWarning)
        return dict(model.get_compile_config())


def adds_up(model: keras.Model) -> bool:
    """Whether loss and metrics are means over rows, the same however the rows are cut into batches.

    What is not known to be so is not: Dice sums over a batch, a loss used as a metric counts 1 a
    batch, a mask weighs by what is left of a batch, an own layer may add any loss.
    """
    try:
        config = _compile_config(model)
    except (NotImplementedError, TypeError, ValueError):
        return False
    layers, given = _layers(model), model._compile_config.config  # the model is one of them
    if not _only_keras(config) or not all(
        type(layer).__module__.startswith("keras.") for layer in layers
    ):
        return False
    if any(
        isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False)
        for layer in layers
    ):
        return False
    metrics = [*_leaves(given.get("metrics")), *_leaves(given.get("weighted_metrics"))]
    return all(map(_loss_adds_up, _leaves(given["loss"]))) and all(map(_metric_adds_up, metrics))


def _loss_adds_up(item: Any) -> bool:
    if isinstance(item, str):
        return item in ("crossentropy", "ce") or keras.losses.get(item) in _ROW_FUNCTIONS
    known = type(item) in _ROW_LOSSES and item.reduction == "sum_over_batch_size"
    return known and getattr(item, "ignore_class", None) is None and _last_axis(item)


def _metric_adds_up(item: Any) -> bool:
    if item in ("accuracy", "acc", "crossentropy", "ce"):
        return True
    found = keras.metrics.get(item) if isinstance(item, str) else item
    if isinstance(found, keras.metrics.MeanMetricWrapper):
        return _last_axis(found)
    if isinstance(found, keras.metrics.Metric):
        return type(found) not in _BATCH_METRICS
    return not isinstance(found, keras.losses.Loss)  # else the name of a function, one number a row


def _last_axis(item: Any) -> bool:
    return all(
        a in (None, -1)
        for a in (getattr(item, "axis", -1), getattr(item, "_fn_kwargs", {}).get("axis", -1))
    )


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
