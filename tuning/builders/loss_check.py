"""Does a loss fit what y holds, and the last layer's activation what the loss takes?"""

from __future__ import annotations

from typing import Any

from tuning.builders.losses import is_adapted, loss_name
from tuning.builders.targets import TAKE_ONE_HOT
from tuning.builders.tasks import OUTPUT_ACTIVATIONS
from tuning.data.dataset import Task

_CROSSENTROPIES = (
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy",
)
_HINGES = ("hinge", "squared_hinge", "categorical_hinge")
_REAL = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
    "poisson",
    "kl_divergence",
    "cosine_similarity",
)
_MISFITS: dict[Task, tuple[str, ...]] = {
    "regression": (*_CROSSENTROPIES, *_HINGES),
    "binary": (*TAKE_ONE_HOT, "sparse_categorical_crossentropy", *_HINGES[:2]),
    # Of one-hot rows, which a loss is given where it wants them.
    "multiclass": (
        *(loss for loss in _REAL if loss not in TAKE_ONE_HOT),
        *_HINGES[:2],
        *_CROSSENTROPIES[:2],
    ),
    "multilabel": (*TAKE_ONE_HOT, "sparse_categorical_crossentropy", *_HINGES[:2]),
}
"""Keras losses that do not fit the task's y: they run and mean something else, or fail late.

A loss of one's own is tried on some rows, see `check`.
"""

_FITTING: dict[Task, str] = {
    "regression": (
        "mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, huber, log_cosh"
    ),
    "binary": "binary_crossentropy, binary_focal_crossentropy, mean_squared_error",
    "multiclass": "sparse_categorical_crossentropy",
    "multilabel": "binary_crossentropy, binary_focal_crossentropy, mean_squared_error",
}

_Y_HOLDS: dict[Task, str] = {
    "regression": "real numbers",
    "binary": "0 or 1, one a row",
    "multiclass": "class numbers, one a row",
    "multilabel": "0 and 1 a label",
}

_UNBOUNDED = (
    "linear",
    "relu",
    "tanh",
    "softplus",
    "exponential",
    "elu",
    "selu",
    "gelu",
    "leaky_relu",
)
"""Last layers whose outputs are no probabilities."""


def fault_of_loss(compiled: Any, task: Task) -> str:
    """Return why a compiled loss does not fit y; "" where it does, or is the user's own."""
    loss = loss_name(compiled)
    if not loss:
        return "the model is compiled without a loss; give model.compile(loss=…)"
    # A loss of `losses.adapted` has Keras' name, and makes y fit itself.
    if loss not in _MISFITS[task] or is_adapted(compiled):
        return ""
    reason = ""
    if loss in _HINGES[:2] and task in ("binary", "multilabel"):
        reason = ": it wants −1 and 1"
    return f"loss {loss} does not fit y, which holds {_Y_HOLDS[task]}{reason}; use {_FITTING[task]}"


def fault_of_activation(last: Any, compiled: Any, task: Task) -> str:
    """Return why the last layer gives what its loss or task cannot use; "" where it can.

    Args:
        last: The layer that gives the output; what is no `Dense` is not looked at.
        compiled: Its loss.
        task: Of the output.
    """
    import keras

    if not isinstance(last, keras.layers.Dense):
        return ""

    activation = getattr(last.activation, "__name__", "")
    if activation == "softmax":
        return _softmax_fault(last.units, task)
    if activation == "sigmoid" and task == "multiclass":
        n = last.units
        return f"{n} sigmoids are {n} answers that do not exclude each other; use softmax"

    loss = loss_name(compiled)
    takes_logits = getattr(compiled, "from_logits", False)
    if activation in _UNBOUNDED and loss in _CROSSENTROPIES and not takes_logits:
        usual = "sigmoid" if loss.startswith("binary") else "softmax"
        return (
            f"{loss} needs probabilities, but the last layer is {activation}; "
            f"give it activation='{usual}'"
        )
    return ""


def _softmax_fault(units: int, task: Task) -> str:
    if units == 1:
        return "softmax over one unit is always 1; use sigmoid"
    if task not in ("regression", "multilabel"):
        return ""
    effect = "labels exclude each other" if task == "multilabel" else "outputs add up to 1"
    return f"softmax makes the {effect}; use {' or '.join(OUTPUT_ACTIVATIONS[task][:2])}"
