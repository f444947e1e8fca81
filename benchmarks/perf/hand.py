"""The floor: the same training by hand in TensorFlow, without Keras; one `tf.function` an epoch."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np

from benchmarks.perf.spec import Spec
from tuning.data.dataset import Array

LR = 1e-3

# Of Adam, as Keras has them.
BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-7


def train_by_hand(spec: Spec, X: Array, y: Array) -> list[float]:
    """Train a regression MLP with mean squared error; return when each epoch ended."""
    import tensorflow as tf

    epoch = compiled_epoch(spec, len(y))
    device_x = tf.constant(X)
    device_y = tf.constant(y.reshape(-1, 1))
    random = np.random.default_rng(1)
    times: list[float] = []
    while not spec.enough(times):
        order = tf.constant(random.permutation(len(y)).astype(np.int32))
        float(epoch(order, device_x, device_y))  # waits until the epoch has been computed
        times.append(time.perf_counter())
    return times


def compiled_epoch(spec: Spec, rows: int) -> Any:
    """Return `epoch(order, X, y) → mean loss`, over fresh weights."""
    import tensorflow as tf

    weights = _weights(spec)
    update = _sgd(weights) if spec.optimizer == "sgd" else _adam(weights)
    size = spec.batch
    n_full = rows // size
    n_rest = rows % size

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = _mean_squared_error(weights, x, y)
        update(tape.gradient(loss, weights))
        return loss

    def epoch(order: Any, X: Any, y: Any) -> Any:
        X = tf.gather(X, order)
        y = tf.gather(y, order)
        batches_x = tf.reshape(X[: n_full * size], (n_full, size, spec.inputs))
        batches_y = tf.reshape(y[: n_full * size], (n_full, size, 1))

        total = tf.constant(0.0)
        for i in tf.range(n_full):
            total += step(batches_x[i], batches_y[i]) * float(size)
        if n_rest:
            total += step(X[n_full * size :], y[n_full * size :]) * float(n_rest)
        return total / float(rows)

    return tf.function(epoch, jit_compile=spec.compiler == "xla")


def _mean_squared_error(weights: list[Any], x: Any, y: Any) -> Any:
    """Return the loss of one batch; `weights` are kernels and biases in turn."""
    import tensorflow as tf

    *hidden_layers, (last_kernel, last_bias) = zip(weights[::2], weights[1::2], strict=True)
    hidden = x
    for kernel, bias in hidden_layers:
        hidden = tf.nn.relu(tf.matmul(hidden, kernel) + bias)
    predicted = tf.matmul(hidden, last_kernel) + last_bias
    return tf.reduce_mean(tf.square(predicted - y))


def _weights(spec: Spec) -> list[Any]:
    """Return kernels (Glorot's uniform) and biases (0) in turn."""
    import tensorflow as tf

    units = (spec.inputs, *spec.widths, spec.outputs)
    random = np.random.default_rng(0)
    weights = []
    for before, after in itertools.pairwise(units):
        limit = np.sqrt(6 / (before + after))
        kernel = random.uniform(-limit, limit, (before, after)).astype(np.float32)
        weights.append(tf.Variable(kernel))
        weights.append(tf.Variable(np.zeros(after, np.float32)))
    return weights


def _sgd(weights: list[Any]) -> Any:
    import tensorflow as tf

    lr = tf.Variable(LR)

    def update(gradients: list[Any]) -> None:
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.assign_sub(lr * gradient)

    return update


def _adam(weights: list[Any]) -> Any:
    """Return Adam's update (Kingma and Ba 2015, section 2: both corrections within the rate)."""
    import tensorflow as tf

    lr = tf.Variable(LR)
    n_steps = tf.Variable(0.0)
    first_moments = [tf.Variable(tf.zeros_like(weight)) for weight in weights]
    second_moments = [tf.Variable(tf.zeros_like(weight)) for weight in weights]

    def update(gradients: list[Any]) -> None:
        n_steps.assign_add(1.0)
        rate = lr * tf.sqrt(1 - tf.pow(BETA_2, n_steps)) / (1 - tf.pow(BETA_1, n_steps))
        for weight, gradient, m, v in zip(
            weights, gradients, first_moments, second_moments, strict=True
        ):
            m.assign_add((gradient - m) * (1 - BETA_1))
            v.assign_add((tf.square(gradient) - v) * (1 - BETA_2))
            weight.assign_sub(m * rate / (tf.sqrt(v) + EPSILON))

    return update
