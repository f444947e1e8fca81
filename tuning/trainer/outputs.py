"""What a classifier's outputs mean: probabilities, or logits (`from_logits=True` in its loss)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tuning.data.arrays import Array, Arrays


def by_output(model: keras.Model, predicted: Any) -> Any:
    """Return what a model has given as arrays: one, or a mapping by output name of several.

    Args:
        model: Whose outputs they are. Where it gives them in an order and has no names, they are
            called "0", "1", ….
        predicted: Tensors or arrays as the model gives them.
    """
    outputs = [np.asarray(output) for output in keras.tree.flatten(predicted)]
    if len(outputs) == 1:
        return outputs[0]
    return dict(zip(_names_of(model, predicted, len(outputs)), outputs, strict=True))


def _names_of(model: keras.Model, predicted: Any, count: int) -> Sequence[str]:
    """Return the names of outputs in the order that `keras.tree` has them."""
    if isinstance(predicted, Mapping) and len(predicted) == count:
        return sorted(predicted)
    names = getattr(model, "output_names", None) or ()
    return names if len(names) == count else [str(place) for place in range(count)]


def by_target(predicted: Any, y: Arrays) -> Any:
    """Return predictions by the names of the targets, where these were given in an order.

    Targets by name have the names of the outputs already.
    """
    if not isinstance(predicted, Mapping) or not isinstance(y, Mapping):
        return predicted
    places = [str(place) for place in range(len(y))]
    if set(y) != set(places) or len(predicted) != len(y):
        return predicted
    return dict(zip(places, predicted.values(), strict=True))


def link_of(model: keras.Model, output: str = "") -> str:
    """Return what makes probabilities of a compiled model's outputs.

    Args:
        model: Compiled.
        output: The name of the output meant, or its place in the model's order; "" where there is
            one.

    Returns:
        "sigmoid", "softmax", or "" for nothing.
    """
    loss = loss_of(model, output)
    if not getattr(loss, "from_logits", False):
        return ""
    return "softmax" if "Categorical" in type(loss).__name__ else "sigmoid"


def loss_of(model: keras.Model, output: str = "", position: int = -1) -> Any:
    """Return the compiled loss of one output; None where it has none.

    Args:
        model: Compiled.
        output: Its name, or its place in the model's order; "" where there is one.
        position: Its place, where the model does not know the name.
    """
    losses = model.loss
    if not output or not isinstance(losses, list | tuple | Mapping):
        return _only_loss(losses)

    names = list(getattr(model, "output_names", None) or ())
    if output in names:
        position = names.index(output)
    elif output.isdecimal():
        position = int(output)

    if isinstance(losses, Mapping):
        if output not in losses and 0 <= position < len(names):
            output = names[position]
        return _only_loss(losses.get(output))
    return _only_loss(losses[position]) if 0 <= position < len(losses) else None


def _only_loss(loss: Any) -> Any:
    """Return the one loss within lists and dictionaries of one."""
    while isinstance(loss, list | tuple | Mapping) and len(loss) == 1:
        items = loss.values() if isinstance(loss, Mapping) else loss
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


def as_probabilities(model: Any, outputs: Any, output: str = "") -> Any:
    """Return a compiled model's outputs as probabilities, also where its loss takes logits.

    Args:
        model: Compiled.
        outputs: An array, or a mapping by output name as `by_output` gives it.
        output: The name of the output that the one array is of, where the model has several.
    """
    if isinstance(outputs, Mapping):
        return {name: linked(link_of(model, name), values) for name, values in outputs.items()}
    return linked(link_of(model, output), outputs)
