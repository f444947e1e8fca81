"""Sequences whose steps count differently: each step a row of its own, padding left out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tuning.data.arrays import Array


class Answers(NamedTuple):
    """Of one output what is true, what is predicted, and what each row or step counts.

    Attributes:
        y: `(rows, …)`, or `(rows, steps, …)`.
        predicted: As the model returns it, of as many rows and steps.
        weight: `(rows,)`, `(rows, steps)` or `(rows, height, width)`; None: 1 each.
    """

    y: Array
    predicted: Array
    weight: Array | None


def without_padding(answers: Answers) -> Answers:
    """Return answers whose steps are rows, without those of weight 0; other answers as they are.

    Weights that are all 1 are none: so metrics without weights have a value too.
    """
    weight = answers.weight
    if weight is None or weight.ndim < 2:
        return answers
    of_rows = weight.reshape(len(weight), -1)
    if np.all(of_rows == of_rows[:, :1]):  # a row is weighed, and not its answers
        return answers._replace(weight=of_rows[:, 0])
    flat = weight.reshape(-1)
    is_step = flat != 0
    kept = flat[is_step]
    return Answers(
        _by_step(answers.y, weight)[is_step],
        _by_step(answers.predicted, weight)[is_step],
        None if np.all(kept == 1) else kept,
    )


def _by_step(array: Array, weight: Array) -> Array:
    """Return `(rows, steps, …)` as `(rows * steps, …)`; pixels have two axes of steps."""
    array = np.asarray(array)
    if array.size == weight.size:
        return array.reshape(weight.size)
    if array.ndim <= weight.ndim:  # all answers of a row in one axis
        return array.reshape(weight.size, -1)
    return array.reshape(weight.size, *array.shape[weight.ndim :])
