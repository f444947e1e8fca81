"""A layer and functions in a module that is not the builder's, as a user's package has them."""

from __future__ import annotations

from typing import Any

import keras


class Doubled(keras.layers.Layer):  # type: ignore[misc]
    """Twice its input."""

    def call(self, inputs: Any) -> Any:
        """Return it."""
        return 2.0 * inputs


def twice(x: Any) -> Any:
    """Return twice x."""
    return 2.0 * x


def within(y: Any, predicted: Any) -> Any:
    """Return the mean absolute error."""
    return keras.ops.mean(keras.ops.abs(y - predicted), axis=-1)
