"""Epochs of plain dense networks in machine code.

TensorFlow spends 50-250 microseconds on a step of a small network whose arithmetic takes 5-30, and
XLA compiles each width anew. Here one function, compiled once on a machine, serves any depth, width
and batch size. The arithmetic is that of Keras' layers, losses and optimizers in float32.

A network lies in one float32 vector, what its optimizer keeps in two more of the same layout. A
table says where, int64 `(n_layers + 1, 5)`: in each row the inputs of a layer, its activation,
where its kernel begins and where its bias (-1: none), and the inputs of the layers before it. The
last row holds the outputs as if one more layer took them.
"""

from __future__ import annotations

import math
import threading
from collections import namedtuple
from typing import Any

import numpy as np
from numba import config, typeof, types

from tuning.data.dataset import Array
from tuning.trainer.native import compile as machine_code
from tuning.trainer.native.compile import (
    FLUSH_TO_ZERO,
    in_machine_code,
    kept_in_machine_code,
    set_float_mode,
)
from tuning.trainer.native.matmul import LANES, multiply, transpose

LINEAR, RELU, TANH, SIGMOID, ELU, SELU, SOFTMAX = range(7)
MSE, MAE, HUBER, BINARY, CATEGORICAL, SPARSE = range(6)
SGD, NESTEROV, RMSPROP, ADAM = range(4)

CHUNK = 512
"""Rows of one forward pass without training."""

_SELU = np.float32(1.0507009873554805), np.float32(1.6732632423543772)
_NONE, _ONE = np.float32(0), np.float32(1)

Rule = namedtuple("Rule", "batch_size loss kind steps lr first second rest_1 rest_2 epsilon decay")
"""What is done: rows a step, MSE or another loss; ADAM or another optimizer, the steps it has
behind it, its numbers as float32. `first` and `second` are momentum or beta_1, and rho or beta_2;
`rest_1` and `rest_2` are 1 - those, rounded after the subtraction.
"""


@kept_in_machine_code
def train_epoch(rows: Any, network: Any, state: Any, rule: Any, logits: Array) -> None:
    """Train one epoch in place.

    Args:
        rows: float32 `(rows, features)`; float32 `(rows, outputs)`, or class numbers `(rows, 1)`
            for SPARSE; float32 `(rows,)`, their weights, or empty; int32 `(rows,)`, the order they
            are trained in.
        network: The table; float32 `(n_layers,)`, the share of each layer's inputs that is dropped;
            uint64 `(n_layers,)`, the seeds of that, to which each step adds 1.
        state: The vectors of parameters, of the first and of the second moments; those not needed
            are empty.
        rule: What is done; the last batch may be smaller.
        logits: float32 `(rows, outputs)`, filled: what the last layer gave for each row before its
            activation, in the step that row was trained in.
    """
    mode = set_float_mode(FLUSH_TO_ZERO)
    (x, y, weight, order), (table, _, seeds), most = rows, network, rule.batch_size
    n, grads = len(table) - 1, np.zeros_like(state[0])
    turned = np.empty(np.max(table[1:, 0] * (table[:-1, 0] + LANES)), np.float32)
    buffers = _buffer(table, most), _buffer(table, most), _buffer(table, most), turned
    truth, factor = np.empty((most, y.shape[1]), np.float32), np.ones(most, np.float32)
    for start in range(0, len(order), most):
        batch = order[start : start + most]
        size = len(batch)
        _gather(x, batch, _part(buffers[0], table, 0, size))
        _gather(y, batch, truth)
        for i in range(min(size, len(weight))):
            factor[i] = weight[batch[i]]
        _forward(state[0], network, buffers, size)
        z = _part(buffers[0], table, n, size)
        for i in range(size):
            for j in range(z.shape[1]):
                logits[batch[i], j] = z[i, j]
        _loss_slope(z, (truth, factor), table[n - 1, 1], rule, _part(buffers[2], table, n, size))
        _backward(state[0], network, buffers, size, grads)
        seeds += np.uint64(1)
        _update(state, grads, rule, start // most + 1)
    set_float_mode(mode)


@kept_in_machine_code
def forward(x: Array, table: Array, params: Array, logits: Array) -> None:
    """Fill `logits`, float32 `(rows, outputs)`, with what the last layer gives for `x` before its
    activation.
    """
    mode = set_float_mode(FLUSH_TO_ZERO)
    n, order = len(table) - 1, np.arange(len(x)).astype(np.int32)
    values, network = (
        _buffer(table, CHUNK),
        (table, np.zeros(n, np.float32), np.zeros(n, np.uint64)),
    )
    for start in range(0, len(x), CHUNK):
        batch = order[start : start + CHUNK]
        _gather(x, batch, _part(values, table, 0, len(batch)))
        _forward(params, network, (values, values, values, values), len(batch))
        _gather(_part(values, table, n, len(batch)), order[: len(batch)], logits[start:])
    set_float_mode(mode)


@in_machine_code
def _buffer(table: Array, size: int) -> Array:
    """Return room for the inputs of all layers and the outputs."""
    return np.empty(size * (table[-1, 4] + table[-1, 0]), np.float32)


@in_machine_code
def _part(buffer: Array, table: Array, i: int, size: int) -> Array:
    """Return the inputs of layer `i`, or the outputs after the last, `(size, width)`."""
    room = len(buffer) // (table[-1, 4] + table[-1, 0])
    return buffer[table[i, 4] * room : table[i, 4] * room + size * table[i, 0]].reshape(
        size, table[i, 0]
    )


@in_machine_code
def _kernel(params: Array, table: Array, i: int) -> Array:
    return params[table[i, 2] :][: table[i, 0] * table[i + 1, 0]].reshape(
        table[i, 0], table[i + 1, 0]
    )


@in_machine_code
def _gather(source: Array, batch: Array, target: Array) -> None:
    for i in range(len(batch)):
        for j in range(target.shape[1]):
            target[i, j] = source[batch[i], j]


@in_machine_code
def _forward(params: Array, network: Any, buffers: Any, size: int) -> None:
    (table, rates, seeds), (values, dropped, _, _) = network, buffers
    for layer in range(len(rates)):
        a, z = _part(values, table, layer, size), _part(values, table, layer + 1, size)
        if rates[layer] > 0:
            kept = _part(dropped, table, layer, size)
            _drop(a.reshape(-1), rates[layer], seeds[layer], kept.reshape(-1))
            a = kept
        multiply(a, _kernel(params, table, layer), z)
        at = table[layer, 3]
        if at >= 0:
            for i in range(size):
                for j in range(z.shape[1]):
                    z[i, j] += params[at + j]
        if layer + 1 < len(rates):
            _activate(table[layer, 1], z.reshape(-1))


@in_machine_code
def _backward(params: Array, network: Any, buffers: Any, size: int, grads: Array) -> None:
    (table, rates, seeds), (values, dropped, slopes, turned) = network, buffers
    for layer in range(len(rates) - 1, -1, -1):
        a = _part(dropped if rates[layer] > 0 else values, table, layer, size)
        dz = _part(slopes, table, layer + 1, size)
        multiply(a.T, dz, _kernel(grads, table, layer))
        at = table[layer, 3]
        if at >= 0:
            grads[at : at + dz.shape[1]] = _NONE
            for i in range(size):
                for j in range(dz.shape[1]):
                    grads[at + j] += dz[i, j]
        if layer > 0:
            below, kernel = _part(slopes, table, layer, size), _kernel(params, table, layer)
            room = (
                dz.shape[1],
                below.shape[1] + LANES,
            )  # rows a power of two apart would share few cache lines
            kernel_T = turned[: room[0] * room[1]].reshape(room)
            transpose(kernel, kernel_T)
            multiply(dz, kernel_T, below)
            if rates[layer] > 0:
                _drop(below.reshape(-1), rates[layer], seeds[layer], below.reshape(-1))
            _times_slope(
                table[layer - 1, 1],
                _part(values, table, layer, size).reshape(-1),
                below.reshape(-1),
            )


@in_machine_code
def _drop(values: Array, rate: Any, count: Any, dropped: Array) -> None:
    """Scale up what is kept, by Keras' rule; the same `count` keeps the same (SplitMix64, Steele et
    al. 2014).
    """
    scale, limit, key = _ONE / (_ONE - rate), np.uint64(rate * np.float32(1 << 24)), _mixed(count)
    for i in range(len(values)):
        dropped[i] = (
            values[i] * scale if _mixed(key + np.uint64(i)) >> np.uint64(40) >= limit else _NONE
        )


@in_machine_code
def _mixed(number: Any) -> Any:
    h = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@in_machine_code
def _activate(kind: int, z: Array) -> None:
    """Apply an activation in place; softmax to one row."""
    if kind == RELU:
        for i in range(len(z)):
            z[i] = _NONE if z[i] <= _NONE else z[i]  # NaN stays
    elif kind == TANH:
        for i in range(len(z)):
            z[i] = math.tanh(z[i])
    elif kind == SIGMOID:
        for i in range(len(z)):
            z[i] = _ONE / (_ONE + math.exp(-z[i]))
    elif kind == SOFTMAX:
        top, total = z[0], _NONE
        for value in z:
            top = max(top, value)
        for i in range(len(z)):
            z[i] = math.exp(z[i] - top)
            total += z[i]
        for i in range(len(z)):
            z[i] /= total
    elif kind != LINEAR:
        scale, alpha = _SELU if kind == SELU else (_ONE, _ONE)
        for i in range(len(z)):
            z[i] = scale * (alpha * math.expm1(z[i]) if z[i] <= _NONE else z[i])


@in_machine_code
def _times_slope(kind: int, a: Array, slope: Array) -> None:
    """Multiply by the slope of an activation, told by its value."""
    if kind == RELU:
        for i in range(len(a)):
            slope[i] = slope[i] if a[i] > _NONE else _NONE
    elif kind == TANH:
        for i in range(len(a)):
            slope[i] *= _ONE - a[i] * a[i]
    elif kind == SIGMOID:
        for i in range(len(a)):
            slope[i] *= a[i] * (_ONE - a[i])
    elif kind != LINEAR:
        scale, alpha = _SELU if kind == SELU else (_ONE, _ONE)
        for i in range(len(a)):
            slope[i] *= (
                scale if a[i] >= _NONE else a[i] + scale * alpha
            )  # at 0 as TensorFlow has it


@in_machine_code
def _loss_slope(z: Array, target: Any, activation: int, rule: Any, slope: Array) -> None:
    """Fill `slope` with that of a batch's mean loss, by what the last layer gave before its
    activation.
    """
    (truth, factor), (size, units), loss = target, z.shape, rule.loss
    if loss <= HUBER:
        _activate(activation, z.reshape(-1))
        for i in range(size):
            share = factor[i] / np.float32(size * units)
            for j in range(units):
                error = z[i, j] - truth[i, j]
                if loss == MAE:
                    error = np.sign(error)
                slope[i, j] = (
                    error + error if loss == MSE else min(max(error, -_ONE), _ONE)
                ) * share
        _times_slope(activation, z.reshape(-1), slope.reshape(-1))
        return
    for i in range(size):
        _activate(SIGMOID if loss == BINARY else SOFTMAX, z[i])
        share = factor[i] / np.float32(size * units if loss == BINARY else size)
        for j in range(units):
            wanted = np.float32(truth[i, 0] == j) if loss == SPARSE else truth[i, j]
            slope[i, j] = (z[i, j] - wanted) * share


@in_machine_code
def _update(state: Any, grads: Array, rule: Any, step: int) -> None:
    params, first, second = state
    if rule.decay != 0:
        for i in range(len(params)):
            params[i] -= params[i] * rule.decay * rule.lr
    if rule.kind == ADAM:
        t = np.float32(rule.steps + step)
        alpha = rule.lr * math.sqrt(_ONE - rule.second**t) / (_ONE - rule.first**t)
        for i in range(len(params)):
            m = first[i] + (grads[i] - first[i]) * rule.rest_1
            v = second[i] + (grads[i] * grads[i] - second[i]) * rule.rest_2
            first[i], second[i] = m, v
            params[i] -= m * alpha / (math.sqrt(v) + rule.epsilon)
    elif rule.kind == RMSPROP:
        for i in range(len(params)):
            second[i] = second[i] * rule.second + grads[i] * grads[i] * rule.rest_2
            grads[i] = rule.lr * grads[i] / math.sqrt(second[i] + rule.epsilon)
            if rule.first > 0:
                first[i] = first[i] * rule.first + grads[i]
            params[i] -= first[i] if rule.first > 0 else grads[i]
    elif rule.first == 0:
        for i in range(len(params)):
            params[i] -= grads[i] * rule.lr
    else:
        for i in range(len(params)):
            v = first[i] * rule.first - grads[i] * rule.lr
            first[i] = v
            params[i] += v * rule.first - grads[i] * rule.lr if rule.kind == NESTEROV else v


_loading = threading.Lock()


def load() -> None:
    """Compile the functions for their only types, or read them from disk: seconds once on a
    machine, then 0.2 s.
    """
    with _loading:
        if not (config.DISABLE_JIT or forward.signatures):
            _load()


def _load() -> None:
    kinds = (types.float32, 1), (types.float32, 2), (types.int32, 1), (types.int64, 2)
    vector, matrix, order, table = (
        types.Array(kind, axes, "C", readonly=True) for kind, axes in kinds
    )
    changed, filled, seeds = types.float32[::1], types.float32[:, ::1], types.uint64[::1]
    rule = typeof(Rule(1, 0, 0, 0, *[np.float32(0)] * 7))
    rows, network = (
        types.Tuple((matrix, matrix, vector, order)),
        types.Tuple((table, vector, seeds)),
    )
    machine_code.load(train_epoch, (rows, network, types.UniTuple(changed, 3), rule, filled))
    machine_code.load(forward, (matrix, table, changed, filled))
