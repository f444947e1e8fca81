"""The slopes of the losses by what the last layer gave before its activation."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuning.data.dataset import Array
from tuning.trainer.native.compile import in_machine_code
from tuning.trainer.native.formats import BINARY, HUBER, MAE, MSE, SIGMOID, SOFTMAX, SPARSE
from tuning.trainer.native.layers import activate, times_slope

_ONE = np.float32(1)


@in_machine_code
def error_slope(z: Array, y: Array, weights: Array, loss: int, slope: Array) -> None:
    """Fill `slope` with that of a batch's mean MSE, MAE or HUBER by its predictions `z`.

    Args:
        z: float32 `(rows, outputs)`, after their activation.
        y: float32 `(rows, outputs)`.
        weights: float32 `(rows,)`.
        loss: MSE, MAE or HUBER with delta 1.
        slope: float32 `(rows, outputs)`, filled.
    """
    n_rows, n_outputs = z.shape
    for i in range(n_rows):
        share = weights[i] / np.float32(n_rows * n_outputs)
        for j in range(n_outputs):
            error = z[i, j] - y[i, j]
            slope[i, j] = _slope_of_error(error, loss) * share


@in_machine_code
def _slope_of_error(error: Any, loss: int) -> Any:
    if loss == MSE:
        return error + error
    if loss == MAE:
        error = np.sign(error)
    return min(max(error, -_ONE), _ONE)  # a sign lies within these bounds


@in_machine_code
def entropy_slope(z: Array, y: Array, weights: Array, loss: int, slope: Array) -> None:
    """Fill `slope` with that of a batch's mean cross-entropy by its logits `z`: p - y.

    Args:
        z: float32 `(rows, outputs)`; holds the probabilities afterwards.
        y: float32 `(rows, outputs)`, or class numbers `(rows, 1)` for SPARSE.
        weights: float32 `(rows,)`.
        loss: BINARY, CATEGORICAL or SPARSE.
        slope: float32 `(rows, outputs)`, filled.
    """
    n_rows, n_outputs = z.shape
    for i in range(n_rows):
        activate(SIGMOID if loss == BINARY else SOFTMAX, z[i])
        # Keras' binary loss is a mean over the outputs, its categorical ones a sum.
        share = weights[i] / np.float32(n_rows * n_outputs if loss == BINARY else n_rows)
        for j in range(n_outputs):
            target = np.float32(y[i, 0] == j) if loss == SPARSE else y[i, j]
            slope[i, j] = (z[i, j] - target) * share


@in_machine_code
def loss_slope(z: Array, y: Array, weights: Array, kinds: tuple[int, int], slope: Array) -> None:
    """Fill `slope` with that of a batch's mean loss, by what the last layer gave.

    Args:
        z: float32 `(rows, outputs)`, before their activation; changed.
        y: float32 `(rows, outputs)`, or class numbers `(rows, 1)` for SPARSE.
        weights: float32 `(rows,)`.
        kinds: The loss and the activation of the outputs.
        slope: float32 `(rows, outputs)`, filled.
    """
    loss, activation = kinds
    if loss > HUBER:
        entropy_slope(z, y, weights, loss, slope)
        return
    activate(activation, z.reshape(-1))
    error_slope(z, y, weights, loss, slope)
    times_slope(activation, z.reshape(-1), slope.reshape(-1))
