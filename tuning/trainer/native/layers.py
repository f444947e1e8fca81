"""A network's layers forward and backward, for one batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tuning.data.dataset import Array
from tuning.trainer.native.compile import in_machine_code
from tuning.trainer.native.formats import (
    ACTIVATION,
    BIAS,
    ELU,
    INPUTS,
    INPUTS_BEFORE,
    KERNEL,
    LINEAR,
    RELU,
    SELU,
    SIGMOID,
    SOFTMAX,
    TANH,
)
from tuning.trainer.native.matmul import LANES, multiply, transpose

_ZERO = np.float32(0)
_ONE = np.float32(1)
_SELU_SCALE = np.float32(1.0507009873554805)
_SELU_ALPHA = np.float32(1.6732632423543772)


@in_machine_code
def make_buffer(table: Array, batch_size: int) -> Array:
    """Return room for the inputs of all layers and the outputs."""
    widths = table[-1, INPUTS_BEFORE] + table[-1, INPUTS]
    return np.empty(batch_size * widths, np.float32)


@in_machine_code
def make_transposed(table: Array) -> Array:
    """Return room for the largest kernel, transposed; see `_transposed_kernel`."""
    return np.empty(np.max(table[1:, INPUTS] * (table[:-1, INPUTS] + LANES)), np.float32)


@in_machine_code
def part(buffer: Array, table: Array, layer: int, size: int) -> Array:
    """Return the inputs of a layer, or the outputs after the last, `(size, width)`."""
    room = len(buffer) // (table[-1, INPUTS_BEFORE] + table[-1, INPUTS])
    width = table[layer, INPUTS]
    start = table[layer, INPUTS_BEFORE] * room
    return buffer[start : start + size * width].reshape(size, width)


@in_machine_code
def _kernel(params: Array, table: Array, layer: int) -> Array:
    inputs = table[layer, INPUTS]
    outputs = table[layer + 1, INPUTS]
    return params[table[layer, KERNEL] :][: inputs * outputs].reshape(inputs, outputs)


@in_machine_code
def go_forward(params: Array, network: Any, buffers: Any, size: int) -> None:
    """Fill `buffers.values` from the inputs that it holds; the outputs are before their activation.

    What is dropped is noted in `buffers.dropped`.
    """
    table = network.table
    n_layers = len(network.dropout_rates)
    for layer in range(n_layers):
        inputs = part(buffers.values, table, layer, size)
        outputs = part(buffers.values, table, layer + 1, size)

        rate = network.dropout_rates[layer]
        if rate > 0:
            dropped = part(buffers.dropped, table, layer, size)
            _drop(inputs.reshape(-1), rate, network.seeds[layer], dropped.reshape(-1))
            inputs = dropped

        multiply(inputs, _kernel(params, table, layer), outputs)

        bias = table[layer, BIAS]
        if bias >= 0:  # not `!= NO_BIAS`: so no index can be negative, and vectors are added
            for i in range(size):
                for j in range(outputs.shape[1]):
                    outputs[i, j] += params[bias + j]

        if layer + 1 < n_layers:
            activate(table[layer, ACTIVATION], outputs.reshape(-1))


@in_machine_code
def go_backward(params: Array, network: Any, buffers: Any, size: int, gradients: Array) -> None:
    """Fill `gradients` from what a forward pass has left in the buffers.

    `buffers.slopes` holds the slope of the loss by the outputs; those by the inputs of the layers
    are filled in.
    """
    table = network.table
    for layer in range(len(network.dropout_rates) - 1, -1, -1):
        rate = network.dropout_rates[layer]
        values = buffers.dropped if rate > 0 else buffers.values
        inputs = part(values, table, layer, size)
        slope = part(buffers.slopes, table, layer + 1, size)

        multiply(inputs.T, slope, _kernel(gradients, table, layer))

        bias = table[layer, BIAS]
        if bias >= 0:
            _sum_rows(slope, gradients[bias : bias + slope.shape[1]])

        if layer > 0:  # nobody asks for the slope by the rows of X
            slope_below = part(buffers.slopes, table, layer, size)
            kernel = _kernel(params, table, layer)
            multiply(slope, _transposed_kernel(kernel, buffers.transposed), slope_below)

            below = slope_below.reshape(-1)
            if rate > 0:
                _drop(below, rate, network.seeds[layer], below)
            activated = part(buffers.values, table, layer, size)
            times_slope(table[layer - 1, ACTIVATION], activated.reshape(-1), below)


@in_machine_code
def _sum_rows(matrix: Array, sums: Array) -> None:
    sums[:] = _ZERO
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            sums[j] += matrix[i, j]


@in_machine_code
def _transposed_kernel(kernel: Array, room: Array) -> Array:
    """Return a kernel transposed, in rows that are LANES longer than it needs.

    Rows a power of two apart would share few cache lines.
    """
    inputs, outputs = kernel.shape
    width = inputs + LANES
    transposed = room[: outputs * width].reshape(outputs, width)
    transpose(kernel, transposed)
    return transposed


@in_machine_code
def _drop(values: Array, rate: Any, seed: Any, dropped: Array) -> None:
    """Drop a share of the values and scale up the rest, by Keras' rule.

    The same seed drops the same places: a place's random number is its hash.
    """
    scale = _ONE / (_ONE - rate)
    limit = np.uint64(rate * np.float32(1 << 24))
    key = _mixed(seed)
    for i in range(len(values)):
        draw = _mixed(key + np.uint64(i)) >> np.uint64(40)  # the upper 24 bits
        dropped[i] = values[i] * scale if draw >= limit else _ZERO


@in_machine_code
def _mixed(number: Any) -> Any:
    """Return a random-looking number of 64 bits, always the same one for the same number.

    Source: SplitMix64 of Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
    2014, figure 16 with the constants of its later version.
    """
    h = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@in_machine_code
def activate(kind: int, z: Array) -> None:
    """Apply an activation in place; softmax to one row."""
    if kind == RELU:
        for i in range(len(z)):
            z[i] = _ZERO if z[i] <= _ZERO else z[i]  # NaN stays
    elif kind == TANH:
        for i in range(len(z)):
            z[i] = math.tanh(z[i])
    elif kind == SIGMOID:
        for i in range(len(z)):
            z[i] = _ONE / (_ONE + math.exp(-z[i]))
    elif kind == ELU:
        for i in range(len(z)):
            if z[i] <= _ZERO:
                z[i] = math.expm1(z[i])
    elif kind == SELU:
        for i in range(len(z)):
            z[i] = _SELU_SCALE * (_SELU_ALPHA * math.expm1(z[i]) if z[i] <= _ZERO else z[i])
    elif kind == SOFTMAX:
        _softmax(z)


@in_machine_code
def _softmax(z: Array) -> None:
    top = z[0]  # subtracted first, so that no power overflows
    for value in z:
        top = max(top, value)

    total = _ZERO
    for i in range(len(z)):
        z[i] = math.exp(z[i] - top)
        total += z[i]

    for i in range(len(z)):
        z[i] /= total


@in_machine_code
def times_slope(kind: int, activated: Array, slope: Array) -> None:
    """Multiply by the slope of an activation, computed from its value."""
    if kind == RELU:
        for i in range(len(activated)):
            slope[i] = slope[i] if activated[i] > _ZERO else _ZERO
    elif kind == TANH:
        for i in range(len(activated)):
            slope[i] *= _ONE - activated[i] * activated[i]
    elif kind == SIGMOID:
        for i in range(len(activated)):
            slope[i] *= activated[i] * (_ONE - activated[i])
    elif kind != LINEAR:
        scale = _SELU_SCALE if kind == SELU else _ONE
        alpha = _SELU_ALPHA if kind == SELU else _ONE
        for i in range(len(activated)):
            # At 0 it is the slope of the right side, as TensorFlow has it.
            slope[i] *= scale if activated[i] >= _ZERO else activated[i] + scale * alpha
