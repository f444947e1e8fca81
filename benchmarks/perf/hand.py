"""The floor: the same training written by hand in TensorFlow, without Keras; one `tf.function` call
an epoch.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np

from benchmarks.perf.spec import Spec
from tuning.data.dataset import Array

LR, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7


def train_by_hand(spec: Spec, X: Array, y: Array) -> list[float]:
    """Train a regression MLP with mean squared error; return when each epoch ended."""
    import tensorflow as tf

    epoch = compiled_epoch(spec, len(y))
    device_x, device_y = tf.constant(X), tf.constant(y.reshape(-1, 1))
    random = np.random.default_rng(1)
    times: list[float] = []
    while not spec.enough(times):
        order = tf.constant(random.permutation(len(y)).astype(np.int32))
        float(epoch(order, device_x, device_y))
        times.append(time.perf_counter())
    return times


def compiled_epoch(spec: Spec, rows: int) -> Any:
    """Return `epoch(order, X, y) → mean loss`, over fresh weights."""
    import tensorflow as tf

    weights = _weights(spec)
    update = _sgd(weights) if spec.optimizer == "sgd" else _adam(weights)
    size, full = spec.batch, rows // spec.batch

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            hidden = x
            for i in range(0, len(weights) - 2, 2):
                hidden = tf.nn.relu(tf.matmul(hidden, weights[i]) + weights[i + 1])
            loss = tf.reduce_mean(tf.square(tf.matmul(hidden, weights[-2]) + weights[-1] - y))
        update(tape.gradient(loss, weights))
        return loss

    def epoch(order: Any, X: Any, y: Any) -> Any:
        X, y = tf.gather(X, order), tf.gather(y, order)
        batches_x = tf.reshape(X[: full * size], (full, size, spec.inputs))
        batches_y = tf.reshape(y[: full * size], (full, size, 1))
        total = tf.constant(0.0)
        for i in tf.range(full):
            total += step(batches_x[i], batches_y[i]) * float(size)
        if rows % size:
            total += step(X[full * size :], y[full * size :]) * float(rows % size)
        return total / float(rows)

    return tf.function(epoch, jit_compile=spec.compiler == "xla")


def _weights(spec: Spec) -> list[Any]:
    import tensorflow as tf

    units = (spec.inputs, *spec.widths, spec.outputs)
    random = np.random.default_rng(0)
    made = []
    for before, after in itertools.pairwise(units):
        limit = np.sqrt(6 / (before + after))
        made.append(tf.Variable(random.uniform(-limit, limit, (before, after)).astype(np.float32)))
        made.append(tf.Variable(np.zeros(after, np.float32)))
    return made


def _sgd(weights: list[Any]) -> Any:
    import tensorflow as tf

    lr = tf.Variable(LR)

    def update(gradients: list[Any]) -> None:
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.assign_sub(lr * gradient)

    return update


def _adam(weights: list[Any]) -> Any:
    import tensorflow as tf

    lr, done = tf.Variable(LR), tf.Variable(0.0)
    firsts = [tf.Variable(tf.zeros_like(w)) for w in weights]
    seconds = [tf.Variable(tf.zeros_like(w)) for w in weights]

    def update(gradients: list[Any]) -> None:
        done.assign_add(1.0)
        rate = lr * tf.sqrt(1 - tf.pow(BETA_2, done)) / (1 - tf.pow(BETA_1, done))
        for weight, gradient, m, v in zip(weights, gradients, firsts, seconds, strict=True):
            m.assign_add((gradient - m) * (1 - BETA_1))
            v.assign_add((tf.square(gradient) - v) * (1 - BETA_2))
            weight.assign_sub(m * rate / (tf.sqrt(v) + EPSILON))

    return update
