"""A layer and functions in a module that is not the builder's, as a user's package has them."""

from __future__ import annotations

from typing import Any

import keras


class Doubled(keras.layers.Layer):  # type: ignore[misc]
    """Twice its input."""

    def call(self, inputs: Any) -> Any:
        """Return it."""
        return 2.0 * inputs


class Stubborn(keras.Model):  # type: ignore[misc]
    """A model as many write it: nothing can be given to its `__init__`."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        """Return one number a row."""
        return self.dense(inputs)


class Powered(keras.layers.Layer):  # type: ignore[misc]
    """What a function makes of its input; Keras cannot write the function."""

    def __init__(self, power: Any, **settings: Any) -> None:
        super().__init__(**settings)
        self.power = power

    def call(self, inputs: Any) -> Any:
        """Return it."""
        return self.power(inputs)


def twice(x: Any) -> Any:
    """Return twice x."""
    return 2.0 * x


def within(y: Any, predicted: Any) -> Any:
    """Return the mean absolute error."""
    return keras.ops.mean(keras.ops.abs(y - predicted), axis=-1)


class Share(keras.metrics.MeanMetricWrapper):  # type: ignore[misc]
    """The share of rows that are within 1 of the truth."""

    def __init__(self, name: str = "share", **settings: Any) -> None:
        super().__init__(_is_near, name=name, **settings)


def _is_near(y: Any, predicted: Any) -> Any:
    return keras.ops.mean(keras.ops.abs(y - predicted) < 1, axis=-1)
