"""What passes between Python and the machine code: four records of arrays and numbers.

Numba compiles named tuples with access by name; any other record would cost a conversion a call.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import typeof, types

from tuning.data.dataset import Array

LINEAR, RELU, TANH, SIGMOID, ELU, SELU, SOFTMAX = range(7)
MSE, MAE, HUBER, BINARY, CATEGORICAL, SPARSE = range(6)
SGD, NESTEROV, RMSPROP, ADAM = range(4)

INPUTS, ACTIVATION, KERNEL, BIAS, INPUTS_BEFORE = range(5)
"""Columns of a network's table."""

NO_BIAS = -1
"""Stands in the column BIAS of a layer without one."""

Rows = namedtuple("Rows", "X y weights order")
"""Rows to train on.

Attributes:
    X: float32 `(rows, features)`.
    y: float32 `(rows, outputs)`, or class numbers `(rows, 1)` for SPARSE.
    weights: float32 `(rows,)`, or empty where all rows weigh the same.
    order: int32 `(rows,)`, the order they are trained in.
"""

Network = namedtuple("Network", "table dropout_rates seeds")
"""The layers of a network.

Attributes:
    table: int64 `(n_layers + 1, 5)`. The row of a layer holds its inputs (INPUTS), its activation
        (ACTIVATION), where its kernel (KERNEL) and its bias (BIAS, or NO_BIAS) begin in the vector
        of parameters, and the inputs of all layers before it (INPUTS_BEFORE). The last row holds
        the outputs as if one more layer took them.
    dropout_rates: float32 `(n_layers,)`, the share of each layer's inputs that is dropped.
    seeds: uint64 `(n_layers,)`, the seeds of that, to which each step adds 1.
"""

State = namedtuple("State", "params first_moments second_moments")
"""All that a step changes, but for the seeds: vectors of one layout, empty where not needed."""

Rule = namedtuple(
    "Rule",
    [
        "batch_size",
        "loss",
        "optimizer",
        "steps_done",
        "lr",
        "momentum",
        "rho",
        "momentum_rest",
        "rho_rest",
        "epsilon",
        "weight_decay",
    ],
)
"""How to train.

Attributes:
    batch_size: Rows a step.
    loss: MSE or another one.
    optimizer: ADAM or another one.
    steps_done: Steps that it has behind it.
    lr: The learning rate, float32 as all that follow.
    momentum: The momentum, or Adam's beta_1.
    rho: RMSprop's rho, or Adam's beta_2.
    momentum_rest: 1 - momentum, rounded after the subtraction as Keras does.
    rho_rest: 1 - rho, likewise.
    epsilon: What keeps a division from being one by 0.
    weight_decay: Share of the learning rate by which parameters shrink.
"""

Buffers = namedtuple("Buffers", "values dropped slopes transposed")
"""Room for one batch.

Attributes:
    values: The inputs of each layer, then the outputs; see `layers.part`.
    dropped: The same after dropout, where there is some.
    slopes: The slope of the loss by each of them.
    transposed: One kernel, transposed.
"""


def make_rows(X: Array, y: Array, weights: Array, order: Array) -> Rows:
    """Return `Rows` of the one type that the machine code is compiled for."""
    return Rows(_read_only(X), _read_only(y), _read_only(weights), _read_only(order))


def make_network(table: Array, dropout_rates: Array, seeds: Array) -> Network:
    """Return a `Network` of the one type that the machine code is compiled for."""
    return Network(_read_only(table), _read_only(dropout_rates), seeds)


def _read_only(array: Array) -> Array:
    # Numba takes an array that may be written to for one that may not, but not within a tuple.
    view = array.view()
    view.flags.writeable = False
    return view


def _array_of(dtype: types.Type, n_axes: int) -> types.Array:
    return types.Array(dtype, n_axes, "C", readonly=True)


VECTOR = _array_of(types.float32, 1)
MATRIX = _array_of(types.float32, 2)
TABLE = _array_of(types.int64, 2)
CHANGED_VECTOR = types.float32[::1]
CHANGED_MATRIX = types.float32[:, ::1]

ROWS = types.NamedTuple((MATRIX, MATRIX, VECTOR, _array_of(types.int32, 1)), Rows)
NETWORK = types.NamedTuple((TABLE, VECTOR, types.uint64[::1]), Network)
STATE = types.NamedUniTuple(CHANGED_VECTOR, 3, State)
RULE = typeof(Rule(1, 0, 0, 0, *[np.float32(0)] * 7))
