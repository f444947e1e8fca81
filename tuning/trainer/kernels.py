"""Optimizer updates by TensorFlow's own kernels: one operation, or a few, for each weight.

Keras builds up to 16. The arithmetic is that of the optimizer's `update_step`. More than a quarter
of a plain graph's time went to Adam's small operations; XLA, which melts them together anyway, has
less to compile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from tuning.trainer import keras_internals

Update: TypeAlias = Callable[[Sequence[Any], Sequence[Any], tf.Tensor], None]
"""Takes gradients, the weights they belong to, and the learning rate."""

_Apply: TypeAlias = Callable[[tf.Tensor, tf.Tensor, int], None]
"""Takes a gradient, the handle of its weight, and the weight's place in the optimizer."""

_LEAST_COMPLEMENT = 0.03
"""Least 1 - beta_1, which the kernel computes in float32.

At 0.9 it is off by 2e-7 of itself, at 0.999 by 1e-5.
"""


def by_kernel(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether a kernel does what the optimizer's `update_step` would, with its present settings."""
    if type(optimizer) is keras.optimizers.SGD:
        return True
    if type(optimizer) not in (keras.optimizers.Adam, keras.optimizers.AdamW):
        return False
    exact_beta_1 = _LEAST_COMPLEMENT <= 1 - optimizer.beta_1 < 1
    return bool(exact_beta_1 and 0 < optimizer.beta_2 < 1 and not optimizer.amsgrad)


def update_of(optimizer: keras.optimizers.Optimizer) -> Update:
    """Return the update of all weights by a kernel; `by_kernel` must hold for the optimizer."""
    prepare = _sgd if type(optimizer) is keras.optimizers.SGD else _adam

    def update(grads: Sequence[Any], weights: Sequence[Any], rate: tf.Tensor) -> None:
        apply = prepare(optimizer, rate)
        for grad, weight in zip(grads, weights, strict=True):
            is_sparse = isinstance(grad, tf.IndexedSlices)  # the rows of an embedding
            if is_sparse or weight.dtype != "float32":
                optimizer.update_step(grad, weight.value, rate)
            else:
                place = keras_internals.position_of(optimizer, weight)
                apply(grad, weight.value.handle, place)

    return update


def _adam(optimizer: Any, rate: tf.Tensor) -> _Apply:
    beta_1 = tf.convert_to_tensor(optimizer.beta_1, tf.float32)
    beta_2 = tf.convert_to_tensor(optimizer.beta_2, tf.float32)
    step = tf.cast(optimizer.iterations + 1, tf.float32)
    beta_1_power = tf.pow(beta_1, step)
    beta_2_power = tf.pow(beta_2, step)
    complement = 1 - optimizer.beta_2
    one = tf.constant(1.0)
    first_moments = keras_internals.first_moments(optimizer)
    second_moments = keras_internals.second_moments(optimizer)

    def apply(grad: tf.Tensor, weight: tf.Tensor, place: int) -> None:
        m = first_moments[place].value
        v = second_moments[place].value

        # As Keras does; with a beta_2 of 1 the kernel then leaves it as it is.
        v.assign_add((tf.square(grad) - v) * complement)
        tf.raw_ops.ResourceApplyAdam(
            var=weight,
            m=m.handle,
            v=v.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=rate,
            beta1=beta_1,
            beta2=one,
            epsilon=optimizer.epsilon,
            grad=grad,
        )

    return apply


def _sgd(optimizer: Any, rate: tf.Tensor) -> _Apply:
    if optimizer.momentum != 0:
        return _sgd_with_momentum(optimizer, rate)

    def apply(grad: tf.Tensor, weight: tf.Tensor, place: int) -> None:
        tf.raw_ops.ResourceApplyGradientDescent(var=weight, alpha=rate, delta=grad)

    return apply


def _sgd_with_momentum(optimizer: Any, rate: tf.Tensor) -> _Apply:
    momentum = tf.convert_to_tensor(optimizer.momentum, tf.float32)

    def apply(grad: tf.Tensor, weight: tf.Tensor, place: int) -> None:
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=weight,
            accum=optimizer.momentums[place].value.handle,
            lr=rate,
            grad=grad,
            momentum=momentum,
            use_nesterov=optimizer.nesterov,
        )

    return apply
