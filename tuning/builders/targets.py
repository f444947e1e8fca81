"""y as the compiled loss takes it: class numbers, or one-hot rows made of them."""

from __future__ import annotations

import inspect
from typing import Any, Literal, TypeAlias

import numpy as np

from tuning.builders.losses import ON_ONE_HOT, is_adapted, loss_name
from tuning.data.arrays import Array

Form: TypeAlias = Literal["as it is", "one-hot", "column", "squeezed"]
"""What is done to y: "column" adds a last axis of 1, "squeezed" drops one."""

TAKE_ONE_HOT = (*ON_ONE_HOT, "kl_divergence")
"""Losses of Keras that compare one-hot rows with one unit a class."""
_TAKE_NUMBERS = ("sparse_categorical_crossentropy", "crossentropy")


def is_of_keras(loss: Any) -> bool:
    """Whether a compiled loss is one of Keras' or of ours, and not the user's own."""
    if loss is None or isinstance(loss, str):
        return True
    named = loss if isinstance(loss, type) or inspect.isfunction(loss) else type(loss)
    return str(named.__module__).partition(".")[0] in ("keras", "tuning")


def form_for(
    loss: Any,
    *,
    task: str,
    units: int,
    was_one_hot: bool,
    n_columns: int = 1,
    ranks: tuple[int, int] = (1, 1),
) -> Form:
    """Return in which form a loss takes the y of an output.

    Args:
        loss: As it was compiled.
        task: Of the output.
        units: Size of the output's last axis.
        was_one_hot: Whether the data set's y was given as one-hot rows: a loss of the user's own is
            given such.
        n_columns: Of y; 0 where it is `(rows,)`: a loss of the user's own that compares several
            units with it (three quantiles) is given `(rows, 1)`, or the rows would be taken for
            units.
        ranks: Axes of one row of y and of the output. Where y has many answers and one of the two
            has a last axis of 1 more, y is brought to the output's: Keras would squeeze either,
            and then average the loss over the steps, where no weight and no mask reaches them.
    """
    of_y, of_output = ranks
    if task in ("binary", "regression") and of_y and of_output and units != 2:
        if of_output == of_y + 1 and units == 1:
            return "column"
        if of_y == of_output + 1:
            return "squeezed"
    if is_adapted(loss) or units < 2:
        return "as it is"
    name = loss_name(loss)
    if task == "regression" and n_columns == 0 and not is_of_keras(loss):
        return "column"
    if task not in ("binary", "multiclass"):
        return "as it is"
    if name in TAKE_ONE_HOT:
        return "one-hot"
    is_own = name not in _TAKE_NUMBERS
    return "one-hot" if was_one_hot and is_own else "as it is"


def in_form(y: Array, form: Form, units: int) -> Array:
    """Return class numbers `(rows, …)` as one-hot rows `(rows, …, units)`, float32, or as they are.

    What has such rows already stays.
    """
    if form == "as it is":
        return y
    if form == "column":
        return y[..., None]
    if form == "squeezed":
        return y[..., 0]
    is_column = y.ndim >= 2 and y.shape[-1] == 1
    numbers = (y[..., 0] if is_column else y).astype(np.int64)
    return np.asarray(numbers[..., None] == np.arange(units), np.float32)
