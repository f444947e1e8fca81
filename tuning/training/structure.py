"""Which models have equal graphs, so that one compiled step serves them all, as far as their configurations tell."""

from __future__ import annotations

import json
import warnings
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tuning.training.assigned import assigned_names
from tuning.training.elastic import without_widths

Tensors: TypeAlias = tuple[tf.Tensor, ...]


def structure_of(model: keras.Model, arrays: Tensors, batch_size: int, *, elastic: bool) -> str | None:
    """Return equal texts for models whose graphs are equal; None where that cannot be told from the configuration.

    Args:
        model: Built and compiled.
        arrays: X, y and perhaps weights.
        batch_size: Of no consequence where loss and metrics do not depend on how validation is cut.
        elastic: Whether the graph takes any width.
    """
    try:
        compiled = _compile_config(model)
        config = {"class": type(model).__qualname__, "model": model.get_config(), "compile": compiled}
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
    return json.dumps([config, shapes, size], sort_keys=True, default=repr)


def _only_keras(config: Any) -> bool:
    """Whether every object named is Keras' own: of a user's function the configuration holds only the name."""
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
    adapted = any(hasattr(layer, "adapt") for layer in _layers(model))  # Normalization keeps constants beside weights
    return not (excluded or replaced or adapted) and all(layer.trainable for layer in _layers(model))


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    return list(model._flatten_layers())


def _compile_config(model: keras.Model) -> dict[str, Any]:
    with warnings.catch_warnings():  # of a lambda, which is not going to be saved
        warnings.simplefilter("ignore", UserWarning)
        return dict(model.get_compile_config())


def adds_up(model: keras.Model) -> bool:
    """Whether loss and metrics are means over rows, the same however the rows are cut into batches."""
    try:
        config = _compile_config(model)
    except (NotImplementedError, TypeError, ValueError):
        return False
    return _only_keras(config) and '"reduction"' not in json.dumps(config["loss"], default=repr).replace(
        '"reduction": "sum_over_batch_size"', ""
    )
