"""Does a loss fit what y holds, the last layer's activation the loss, the weights its values?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuning.builders.losses import is_adapted, loss_name
from tuning.builders.targets import TAKE_ONE_HOT
from tuning.builders.tasks import OUTPUT_ACTIVATIONS
from tuning.data.arrays import Array
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


def answer_weight_faults(
    weight: Array | None, shape: tuple[int | None, ...], where: str
) -> Iterator[str]:
    """Yield that the answers of an output are weighed, and its loss has no value for each of them.

    Keras averages over the last axis and multiplies what remains by the weights. Where these have
    more axes they are spread over the losses of other rows, without a word.

    Args:
        weight: `(rows,)`, `(rows, steps)`, …; None: 1 each.
        shape: Of one row of the output.
        where: What the sentence begins with.
    """
    if weight is None or weight.ndim == 1:
        return
    axes = shape[:-1]
    wanted = weight.shape[1:]
    if len(wanted) <= len(axes) and all(
        known in (None, size) for known, size in zip(axes, wanted, strict=False)
    ):
        return
    of_rows = _listed(("rows", *wanted))
    of_losses = _listed(("rows", *axes))
    yield (
        f"{where}weight is {of_rows}, the loss of an output of shape {shape} is {of_losses}, "
        f"a mean over its last axis; end the model with a last axis of 1, "
        f"{_listed((*wanted, 1))}, or weigh whole rows: weight=(rows,)"
    )


def _listed(sizes: tuple[object, ...]) -> str:
    inner = ", ".join(map(str, sizes))
    return f"({inner},)" if len(sizes) == 1 else f"({inner})"
