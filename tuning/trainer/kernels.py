"""Optimizer updates by TensorFlow's own kernels: one operation, or a few, where Keras builds up to
16 a weight.

The arithmetic is that of the optimizer's `update_step`. More than a quarter of a plain graph's time
went to Adam's small operations; XLA, which melts them together anyway, has less to compile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

Update: TypeAlias = Callable[[Sequence[Any], Sequence[Any], tf.Tensor], None]
"""Takes gradients, the weights they belong to, and the learning rate."""

_LEAST_COMPLEMENT = 0.03
"""Least 1 - beta_1, which the kernel computes in float32: at 0.9 it is off by 2e-7 of itself, at
0.999 by 1e-5.
"""


def by_kernel(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether a kernel does what the optimizer's `update_step` would, with its present settings."""
    if type(optimizer) is keras.optimizers.SGD:
        return True
    if type(optimizer) not in (keras.optimizers.Adam, keras.optimizers.AdamW) or optimizer.amsgrad:
        return False
    return bool(_LEAST_COMPLEMENT <= 1 - optimizer.beta_1 < 1 and 0 < optimizer.beta_2 < 1)


def update_of(optimizer: keras.optimizers.Optimizer) -> Update:
    """Return the update of all weights by the kernel of an optimizer for which `by_kernel` holds."""
    prepared = _sgd if type(optimizer) is keras.optimizers.SGD else _adam

    def update(grads: Sequence[Any], weights: Sequence[Any], rate: tf.Tensor) -> None:
        apply = prepared(optimizer, rate)
        for grad, weight in zip(grads, weights, strict=True):
            if (
                isinstance(grad, tf.IndexedSlices) or weight.dtype != "float32"
            ):  # an embedding's rows, half precision
                optimizer.update_step(grad, weight.value, rate)
            else:
                apply(grad, weight.value.handle, optimizer._get_variable_index(weight))

    return update


def _adam(optimizer: Any, rate: tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor, int], None]:
    beta_1, beta_2 = (
        tf.convert_to_tensor(beta, tf.float32) for beta in (optimizer.beta_1, optimizer.beta_2)
    )
    step = tf.cast(optimizer.iterations + 1, tf.float32)
    powers = tf.pow(beta_1, step), tf.pow(beta_2, step)
    complement, one = 1 - optimizer.beta_2, tf.constant(1.0)

    def apply(grad: tf.Tensor, weight: tf.Tensor, i: int) -> None:
        m, v = optimizer._momentums[i].value, optimizer._velocities[i].value
        v.assign_add(
            (tf.square(grad) - v) * complement
        )  # as Keras does; then the kernel leaves it as it is
        tf.raw_ops.ResourceApplyAdam(
            var=weight,
            m=m.handle,
            v=v.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=rate,
            beta1=beta_1,
            beta2=one,
            epsilon=optimizer.epsilon,
            grad=grad,
        )

    return apply


def _sgd(optimizer: Any, rate: tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor, int], None]:
    momentum = (
        tf.convert_to_tensor(optimizer.momentum, tf.float32) if optimizer.momentum != 0 else None
    )

    def apply(grad: tf.Tensor, weight: tf.Tensor, i: int) -> None:
        if momentum is None:
            tf.raw_ops.ResourceApplyGradientDescent(var=weight, alpha=rate, delta=grad)
        else:
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=weight,
                accum=optimizer.momentums[i].value.handle,
                lr=rate,
                grad=grad,
                momentum=momentum,
                use_nesterov=optimizer.nesterov,
            )

    return apply
