"""What a classifier's outputs mean: probabilities, or logits (`from_logits=True` in its loss)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tuning.data.dataset import Array


def link_of(model: keras.Model) -> str:
    """Return what makes probabilities of a compiled model's outputs.

    Returns:
        "sigmoid", "softmax", or "" for nothing.
    """
    loss = _only_loss(model.loss)
    if not getattr(loss, "from_logits", False):
        return ""
    return "softmax" if "Categorical" in type(loss).__name__ else "sigmoid"


def _only_loss(loss: Any) -> Any:
    """Return the one loss within lists and dictionaries of one."""
    while isinstance(loss, list | tuple | dict) and len(loss) == 1:
        items = loss.values() if isinstance(loss, dict) else loss
        loss = next(iter(items))
    return loss


def linked(link: str, outputs: Array) -> Array:
    """Return the outputs, `(rows, outputs)`, after "sigmoid", "softmax" or "" (nothing)."""
    if link == "sigmoid":
        doubled = 1.0 + np.tanh(0.5 * outputs)  # does not overflow, as exp would
        return np.asarray(0.5 * doubled)
    if link == "softmax":
        highest = outputs.max(axis=-1, keepdims=True)
        powers = np.exp(outputs - highest)
        totals = powers.sum(axis=-1, keepdims=True)
        return np.asarray(powers / totals)
    return outputs


def as_probabilities(model: Any, outputs: Array) -> Array:
    """Return a compiled model's outputs as probabilities, also where its loss takes logits."""
    return linked(link_of(model), outputs)
