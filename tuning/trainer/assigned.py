"""Scalar settings of an optimizer (momentum, beta_1, weight_decay, …) that a compiled step reads
from variables.

Keras writes such a number into the graph as a constant, so each value would be traced anew. The
learning rate is a variable in Keras already.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import tensorflow as tf

from tuning.trainer.kernels import update_of

_SETTINGS = (
    "momentum",
    "rho",
    "beta_1",
    "beta_2",
    "weight_decay",
    "clipnorm",
    "global_clipnorm",
    "clipvalue",
)
OPTIMIZERS = (
    keras.optimizers.SGD,
    keras.optimizers.Adam,
    keras.optimizers.AdamW,
    keras.optimizers.RMSprop,
    keras.optimizers.Nadam,
)


class Setting:
    """A number that decides like a number, by its value when the graph is traced, and computes like
    a variable.

    Keras asks `momentum != 0` or `clipnorm > 0` to choose what to build; values on either side of 0
    make other graphs (`assigned_names`). `1 - beta_2` and `1 / clipnorm` are variables too: so they
    are rounded after the subtraction, as Python's numbers are.
    """

    def __init__(self, value: float) -> None:
        self._value = value
        self._read: tuple[tf.Tensor, tf.Tensor] | None = None
        self._number, self._complement, self._inverse = (
            tf.Variable(number, dtype=keras.config.floatx(), trainable=False)
            for number in _forms(value)
        )

    def assign(self, value: float) -> None:
        """Compute with another value; what was decided by the first stays."""
        for variable, number in zip(
            (self._number, self._complement, self._inverse), _forms(value), strict=True
        ):
            variable.assign(number)

    def __tf_tensor__(self, dtype: Any = None, name: Any = None) -> tf.Tensor:
        """Return the variable's value as TensorFlow wants it."""
        return tf.cast(self._numbers()[0], dtype or self._number.dtype)

    def __rsub__(self, other: float) -> tf.Tensor:
        return self._numbers()[1] if other == 1 else other - self._number

    @contextmanager
    def read_once(self) -> Iterator[None]:
        """Within it, one and the same tensor is computed with."""
        self._read = self._numbers()
        try:
            yield
        finally:
            self._read = None

    def _numbers(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the value and 1 - value."""
        return self._read or (self._number.value(), self._complement.value())

    def __rtruediv__(self, other: float) -> tf.Tensor:
        return other * self._inverse

    def __mul__(self, other: tf.Tensor) -> tf.Tensor:
        return self.__tf_tensor__() * other

    def __neg__(self) -> tf.Tensor:
        return -self.__tf_tensor__()

    def __bool__(self) -> bool:
        return bool(self._value)

    def __gt__(self, other: float) -> bool:
        return self._value > other

    def __ne__(self, other: object) -> bool:
        return self._value != other

    __hash__ = None  # type: ignore[assignment]


def _forms(value: float) -> tuple[float, float, float]:
    return (
        value,
        1 - value,
        1 / value if value else math.inf,
    )  # 0: a callback has just switched it off


def assigned_names(optimizer: keras.optimizers.Optimizer) -> tuple[str, ...]:
    """Return the settings whose positive value may change without another graph; none of an
    optimizer not known.
    """
    if type(optimizer) not in OPTIMIZERS:
        return ()
    found = {name: getattr(optimizer, name, None) for name in _SETTINGS}
    return tuple(name for name, value in found.items() if isinstance(value, float) and value > 0)


def make_settings(optimizer: keras.optimizers.Optimizer) -> Mapping[str, Setting]:
    """Put variables in the place of an optimizer's settings, before its graph is traced; return
    them.
    """
    made = {name: Setting(getattr(optimizer, name)) for name in assigned_names(optimizer)}
    for name, setting in made.items():
        setattr(optimizer, name, setting)
    return made


def update_from_one_reading(
    optimizer: keras.optimizers.Optimizer, settings: Mapping[str, Setting], *, kernel: bool
) -> None:
    """Have the update of all weights read the settings, the learning rate and the count of steps
    once.

    Keras reads them anew for each weight, so neither grappler nor XLA can tell that Adam's powers
    of the betas are the same for all: they were computed for each, a quarter of an epoch's time
    with XLA, a tenth without.
    """
    update = update_of(optimizer) if kernel else optimizer._backend_update_step

    def from_one_reading(
        grads: Sequence[tf.Tensor], weights: Sequence[Any], learning_rate: Any
    ) -> None:
        iterations = optimizer._iterations
        with ExitStack() as readings:
            for setting in settings.values():
                readings.enter_context(setting.read_once())
            object.__setattr__(
                optimizer, "_iterations", tf.identity(iterations.value)
            )  # past Keras' tracking
            readings.callback(object.__setattr__, optimizer, "_iterations", iterations)
            update(grads, weights, tf.convert_to_tensor(learning_rate))

    if type(optimizer) in OPTIMIZERS:
        optimizer._backend_update_step = from_one_reading


def assign_settings(settings: Mapping[str, Setting], optimizer: keras.optimizers.Optimizer) -> None:
    """Give the variables the values that another optimizer of equal structure has."""
    for name, setting in settings.items():
        setting.assign(getattr(optimizer, name))
