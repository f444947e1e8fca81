"""What a classifier's outputs mean: probabilities, or logits where its loss says
`from_logits=True`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tuning.data.dataset import Array


def link_of(model: keras.Model) -> str:
    """Return what makes probabilities of a compiled model's outputs: "sigmoid", "softmax", or ""
    for nothing.
    """
    loss = model.loss
    while isinstance(loss, list | tuple | dict) and len(loss) == 1:
        loss = next(iter(loss.values() if isinstance(loss, dict) else loss))
    if not getattr(loss, "from_logits", False):
        return ""
    return "softmax" if "Categorical" in type(loss).__name__ else "sigmoid"


def linked(link: str, outputs: Array) -> Array:
    """Return the outputs, `(rows, outputs)`, after "sigmoid", "softmax" or "" (nothing)."""
    if link == "sigmoid":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * outputs)))  # does not overflow
    if link == "softmax":
        raised = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
    return outputs


def as_probabilities(model: Any, outputs: Array) -> Array:
    """Return a compiled model's outputs as probabilities, whether its loss takes them as such or as
    logits.
    """
    return linked(link_of(model), outputs)
