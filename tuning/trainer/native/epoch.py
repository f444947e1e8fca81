"""Epochs of plain dense networks in machine code.

TensorFlow spends 50-250 microseconds on a step of a small network whose arithmetic takes 5-30, and
XLA compiles each width anew. Here one function, compiled once on a machine, serves any depth, width
and batch size. The arithmetic is that of Keras' layers, losses and optimizers in float32.

`formats` says what the functions take, `layers`, `losses` and `updates` what a step is made of.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numba import config

from tuning.data.dataset import Array
from tuning.trainer.native import compile as machine_code
from tuning.trainer.native import formats
from tuning.trainer.native.compile import (
    FLUSH_TO_ZERO,
    in_machine_code,
    kept_in_machine_code,
    set_float_mode,
)
from tuning.trainer.native.formats import ACTIVATION, Buffers, Network
from tuning.trainer.native.layers import (
    go_backward,
    go_forward,
    make_buffer,
    make_transposed,
    part,
)
from tuning.trainer.native.losses import loss_slope
from tuning.trainer.native.updates import update

CHUNK = 512
"""Rows of one forward pass without training."""


@kept_in_machine_code
def train_epoch(rows: Any, network: Any, state: Any, rule: Any, logits: Array) -> None:
    """Train one epoch in place.

    Args:
        rows: `formats.Rows`; the last batch may be smaller.
        network: `formats.Network`.
        state: `formats.State`.
        rule: `formats.Rule`.
        logits: float32 `(rows, outputs)`, filled: what the last layer gave for each row before its
            activation, in the step that row was trained in.
    """
    mode = set_float_mode(FLUSH_TO_ZERO)
    table = network.table
    n_layers = len(table) - 1
    batch_size = rule.batch_size
    kinds = (rule.loss, table[n_layers - 1, ACTIVATION])

    buffers = Buffers(
        make_buffer(table, batch_size),
        make_buffer(table, batch_size),
        make_buffer(table, batch_size),
        make_transposed(table),
    )
    gradients = np.zeros_like(state.params)
    y = np.empty((batch_size, rows.y.shape[1]), np.float32)
    weights = np.ones(batch_size, np.float32)

    for start in range(0, len(rows.order), batch_size):
        batch = rows.order[start : start + batch_size]
        size = len(batch)
        _gather(rows.X, batch, part(buffers.values, table, 0, size))
        _gather(rows.y, batch, y)
        if len(rows.weights) > 0:
            for i in range(size):
                weights[i] = rows.weights[batch[i]]

        go_forward(state.params, network, buffers, size)
        outputs = part(buffers.values, table, n_layers, size)
        _scatter(outputs, batch, logits)

        loss_slope(outputs, y, weights, kinds, part(buffers.slopes, table, n_layers, size))
        go_backward(state.params, network, buffers, size, gradients)

        for layer in range(n_layers):  # the next step drops other inputs
            network.seeds[layer] += np.uint64(1)
        update(state, gradients, rule, start // batch_size + 1)
    set_float_mode(mode)


@kept_in_machine_code
def forward(X: Array, table: Array, params: Array, logits: Array) -> None:
    """Fill `logits`, `(rows, outputs)`, with what the last layer gives before its activation."""
    mode = set_float_mode(FLUSH_TO_ZERO)
    n_layers = len(table) - 1
    nothing_dropped = np.zeros(n_layers, np.float32)
    network = Network(table, nothing_dropped, np.zeros(n_layers, np.uint64))

    values = make_buffer(table, CHUNK)
    buffers = Buffers(values, values, values, values)  # only the first is touched
    order = np.arange(len(X)).astype(np.int32)
    for start in range(0, len(X), CHUNK):
        batch = order[start : start + CHUNK]
        size = len(batch)
        _gather(X, batch, part(values, table, 0, size))
        go_forward(params, network, buffers, size)
        _scatter(part(values, table, n_layers, size), batch, logits)
    set_float_mode(mode)


@in_machine_code
def _gather(source: Array, batch: Array, target: Array) -> None:
    """Copy the rows of `source` that are in a batch to the first rows of `target`."""
    for i in range(len(batch)):
        for j in range(target.shape[1]):
            target[i, j] = source[batch[i], j]


@in_machine_code
def _scatter(source: Array, batch: Array, target: Array) -> None:
    """Copy the rows of a batch to their places in `target`."""
    for i in range(len(batch)):
        for j in range(source.shape[1]):
            target[batch[i], j] = source[i, j]


_loading = threading.Lock()


def load() -> None:
    """Compile the functions for their only types, or read them from disk.

    That takes seconds once on a machine, then 0.2 s.
    """
    with _loading:
        if config.DISABLE_JIT or forward.signatures:
            return

        machine_code.load(
            train_epoch,
            (
                formats.ROWS,
                formats.NETWORK,
                formats.STATE,
                formats.RULE,
                formats.CHANGED_MATRIX,
            ),
        )

        machine_code.load(
            forward,
            (formats.MATRIX, formats.TABLE, formats.CHANGED_VECTOR, formats.CHANGED_MATRIX),
        )
