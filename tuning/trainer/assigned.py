"""Scalar settings of an optimizer that a compiled step reads from variables.

Keras writes such a number (momentum, beta_1, weight_decay, …) into the graph as a constant, so each
value would be traced anew. The learning rate is a variable in Keras already.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tuning.trainer import keras_internals
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


class _Forms(NamedTuple):
    """A number as Keras computes with it; each is rounded to float32 by itself."""

    number: Any
    complement: Any
    inverse: Any


class _Reading(NamedTuple):
    """What was read of the variables, once for a whole step."""

    number: tf.Tensor
    complement: tf.Tensor


class Setting:
    """A number that decides by its value when traced, and computes like a variable.

    Keras asks `momentum != 0` or `clipnorm > 0` to choose what to build; values on either side of 0
    make other graphs (`assigned_names`). `1 - beta_2` and `1 / clipnorm` are variables too: so they
    are rounded after the subtraction, as Python's numbers are.
    """

    def __init__(self, value: float) -> None:
        self._value = value
        self._reading: _Reading | None = None
        dtype = keras.config.floatx()
        self._variables = _Forms(
            *(tf.Variable(form, dtype=dtype, trainable=False) for form in _forms_of(value))
        )

    def assign(self, value: float) -> None:
        """Compute with another value; what was decided by the first stays."""
        for variable, form in zip(self._variables, _forms_of(value), strict=True):
            variable.assign(form)

    @contextmanager
    def read_once(self) -> Iterator[None]:
        """Within it, one and the same tensor is computed with."""
        self._reading = self._read()
        try:
            yield
        finally:
            self._reading = None

    def _read(self) -> _Reading:
        if self._reading is not None:
            return self._reading
        return _Reading(self._variables.number.value(), self._variables.complement.value())

    # How Keras computes with it.

    def __tf_tensor__(self, dtype: Any = None, name: Any = None) -> tf.Tensor:
        """Return the variable's value as TensorFlow wants it."""
        return tf.cast(self._read().number, dtype or self._variables.number.dtype)

    def __rsub__(self, other: float) -> tf.Tensor:
        return self._read().complement if other == 1 else other - self._variables.number

    def __rtruediv__(self, other: float) -> tf.Tensor:
        return other * self._variables.inverse

    def __mul__(self, other: tf.Tensor) -> tf.Tensor:
        return self.__tf_tensor__() * other

    def __neg__(self) -> tf.Tensor:
        return -self.__tf_tensor__()

    # How Keras decides by it.

    def __bool__(self) -> bool:
        return bool(self._value)

    def __gt__(self, other: float) -> bool:
        return self._value > other

    def __ne__(self, other: object) -> bool:
        return self._value != other

    __hash__ = None  # type: ignore[assignment]


def _forms_of(value: float) -> _Forms:
    inverse = 1 / value if value else math.inf  # 0: a callback has just switched it off
    return _Forms(value, 1 - value, inverse)


def assigned_names(optimizer: keras.optimizers.Optimizer) -> tuple[str, ...]:
    """Return the settings whose positive value may change without another graph.

    An optimizer that is not known has none.
    """
    if type(optimizer) not in OPTIMIZERS:
        return ()
    values = {name: getattr(optimizer, name, None) for name in _SETTINGS}
    return tuple(name for name, value in values.items() if isinstance(value, float) and value > 0)


def make_settings(optimizer: keras.optimizers.Optimizer) -> Mapping[str, Setting]:
    """Put variables in the place of an optimizer's settings; return them.

    Call it before the graph is traced.
    """
    settings = {name: Setting(getattr(optimizer, name)) for name in assigned_names(optimizer)}
    for name, setting in settings.items():
        setattr(optimizer, name, setting)
    return settings


def assign_settings(settings: Mapping[str, Setting], optimizer: keras.optimizers.Optimizer) -> None:
    """Give the variables the values that another optimizer of equal structure has."""
    for name, setting in settings.items():
        setting.assign(getattr(optimizer, name))


def update_from_one_reading(
    optimizer: keras.optimizers.Optimizer, settings: Mapping[str, Setting], *, kernel: bool
) -> None:
    """Have the update of all weights read settings, learning rate and count of steps once.

    Keras reads them anew for each weight, so neither grappler nor XLA can tell that Adam's powers
    of the betas are the same for all: they were computed for each, a quarter of an epoch's time
    with XLA, a tenth without.

    Args:
        optimizer: One that is not known is left alone.
        settings: From `make_settings`.
        kernel: Whether TensorFlow's kernels do the update, see `kernels.by_kernel`.
    """
    if type(optimizer) not in OPTIMIZERS:
        return
    update = update_of(optimizer) if kernel else keras_internals.update_step(optimizer)

    def from_one_reading(
        grads: Sequence[tf.Tensor], weights: Sequence[Any], learning_rate: Any
    ) -> None:
        with ExitStack() as readings:
            for setting in settings.values():
                readings.enter_context(setting.read_once())
            readings.enter_context(keras_internals.steps_read_once(optimizer))
            update(grads, weights, tf.convert_to_tensor(learning_rate))

    keras_internals.set_update_step(optimizer, from_one_reading)
