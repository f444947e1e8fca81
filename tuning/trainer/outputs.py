"""What a classifier's outputs mean: probabilities, or logits (`from_logits=True` in its loss)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tuning.data.arrays import Array, Arrays


def link_of(model: keras.Model, output: str = "") -> str:
    """Return what makes probabilities of a compiled model's outputs.

    Args:
        model: Compiled.
        output: Which of several: its name, or its place in the model's order; "": the only one.

    Returns:
        "sigmoid", "softmax", or "" for nothing.
    """
    loss = _only_loss(_loss_of(model, output) if output else model.loss)
    if not getattr(loss, "from_logits", False):
        return ""
    return "softmax" if "Categorical" in type(loss).__name__ else "sigmoid"


def _loss_of(model: keras.Model, output: str) -> Any:
    losses = model.loss
    if isinstance(losses, dict):
        return losses.get(output)
    if not isinstance(losses, list | tuple):
        return losses  # one for all

    names = list(getattr(model, "output_names", ()) or ())
    if output in names:
        return losses[names.index(output)]
    is_place = output.isdigit() and int(output) < len(losses)
    return losses[int(output)] if is_place else None


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


def as_probabilities(model: Any, outputs: Arrays) -> Any:
    """Return a compiled model's outputs as probabilities, also where its loss takes logits.

    Several outputs come and go by name.
    """
    if isinstance(outputs, Mapping):
        return {name: linked(link_of(model, name), array) for name, array in outputs.items()}
    return linked(link_of(model), outputs)
