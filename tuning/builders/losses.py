"""Keras losses that want other targets than a data set holds: one-hot rows, labels of −1 and 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

ON_ONE_HOT = ("categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge")
"""Of multiclass: class numbers are made one-hot rows; one-hot rows stay."""

ON_SIGNS = {"binary_hinge": "hinge", "binary_squared_hinge": "squared_hinge"}
"""Of 0 / 1 targets and outputs from 0 to 1.

Both are moved to −1 … 1, where Keras' hinge losses are at home.
"""


@cache
def adapted(name: str) -> Callable[[Any, Any], Any]:
    """Return a loss of this file by its name; one function a name, registered with Keras."""
    import keras

    inner = keras.losses.get(ON_SIGNS.get(name, name))

    def one_hot(y: Any, predicted: Any) -> Any:
        n_classes = predicted.shape[-1]  # of each call: one function serves models of any width
        is_one_hot = len(y.shape) == 2 and y.shape[-1] == n_classes
        if is_one_hot:
            return inner(y, predicted)
        numbers = keras.ops.cast(keras.ops.reshape(y, (-1,)), "int32")
        return inner(keras.ops.one_hot(numbers, n_classes), predicted)

    def signs(y: Any, predicted: Any) -> Any:
        return inner(2 * keras.ops.cast(y, predicted.dtype) - 1, 2 * predicted - 1)

    loss = one_hot if name in ON_ONE_HOT else signs
    # Keras saves a loss by its name, and loads it by the one that it was registered under.
    loss.__name__ = loss.__qualname__ = name
    keras.saving.register_keras_serializable(package="tuning", name=name)(loss)
    return loss


def is_adapted(loss: Any) -> bool:
    """Whether a compiled loss is one of `adapted`."""
    name = getattr(loss, "__name__", "")
    # Keras' own functions have some of these names too.
    return name in (*ON_ONE_HOT, *ON_SIGNS) and loss is adapted(name)


def loss_name(loss: Any) -> str:
    """Return Keras' name of a compiled loss; `""` for none.

    Args:
        loss: A name, an alias, a function, a class or an object.
    """
    import keras

    if loss is None:
        return ""
    # An alias that no `keras.losses.get` knows: `compile` resolves it by the output's shape.
    if loss in ("crossentropy", "ce"):
        return "crossentropy"
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return str(loss)  # unknown to Keras, which says so when it is first used
    if isinstance(loss, keras.losses.Loss):
        return _snake(type(loss).__name__)  # its `name` may have been changed
    if isinstance(loss, type):
        return _snake(loss.__name__)
    return str(getattr(loss, "__name__", type(loss).__name__))


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
