"""`Case`: targets and predictions of one output, in the shapes that metrics read."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from tuning.data.dataset import Array, Task


@dataclass(frozen=True, eq=False)
class Case:
    """Targets, predictions and weights, row by row.

    Where a row holds many answers that exclude nothing (the pixels of a mask, the steps of a tagged
    sequence), each is a row of its own here.

    Attributes:
        task: Fixes how `predicted` is read.
        truth: `(rows, columns)`: numbers; for binary and multiclass one column of class numbers;
            for multilabel 0 and 1 a label.
        predicted: float64 `(rows, columns)`: numbers, or probabilities.
        weight: `(rows,)` or None: 1 each.
        threshold: From this probability on a row is of class 1, or a label set; None: above 0.5.
    """

    task: Task
    truth: Array
    predicted: Array
    weight: Array | None = None
    threshold: float | None = None

    @functools.cached_property
    def answers(self) -> Array:
        """What is predicted, in the form of `truth`, `(rows, columns)`: numbers, or classes."""
        if self.task == "regression":
            return self.predicted
        if self.task == "multilabel":
            return self._above(self.predicted).astype(int)
        if self.predicted.shape[1] == 1:
            return self._above(self.predicted).astype(int)
        if self.predicted.shape[1] == 2 and self.threshold is not None:
            return self._above(self.predicted[:, 1:]).astype(int)
        return np.asarray(self.predicted.argmax(axis=1)[:, None])

    @functools.cached_property
    def probabilities(self) -> Array:
        """A probability a class, `(rows, classes)`; for multilabel one a label."""
        if self.task == "binary" and self.predicted.shape[1] == 1:
            return np.hstack([1 - self.predicted, self.predicted])
        return self.predicted

    @property
    def n_classes(self) -> int:
        """Classes that a row may be of."""
        return int(max(2, self.predicted.shape[1], self.truth.max(initial=0) + 1))

    def _above(self, chances: Array) -> Array:
        if self.threshold is None:
            return np.asarray(chances > 0.5)
        return np.asarray(chances >= self.threshold)

    def take(self, rows: Array) -> Case:
        """Return these rows alone."""
        return Case(
            self.task,
            self.truth[rows],
            self.predicted[rows],
            None if self.weight is None else self.weight[rows],
            self.threshold,
        )


def case_of(
    task: Task,
    y: Array,
    predicted: Array,
    weight: Array | None = None,
    threshold: float | None = None,
) -> Case:
    """Bring what a data set and a model have of one output into the shapes of a `Case`.

    Args:
        task: Of the output.
        y: `(rows, …)`; class numbers or one-hot rows for multiclass.
        predicted: `(rows, …)` as the model returns it, after its link.
        weight: `(rows,)`.
        threshold: See `Case`.
    """
    truth = np.asarray(y)
    outputs = np.asarray(predicted, dtype=float)
    if task == "multiclass":
        truth, outputs = _classes(truth, outputs)
    else:
        if task == "binary" and has_a_unit_a_class(truth, outputs):
            truth, outputs = _classes(truth, outputs)
        elif task == "binary" and truth.size == outputs.size:
            truth = truth.reshape(-1, 1)
            outputs = outputs.reshape(-1, 1)
        truth = _columns(truth)
        outputs = _columns(outputs)
    return Case(task, truth, outputs, _repeated(weight, len(y), len(truth)), threshold)


def _classes(truth: Array, outputs: Array) -> tuple[Array, Array]:
    """Return class numbers, `(rows, 1)`, and one probability a class, `(rows, classes)`."""
    if outputs.ndim > 2:  # one answer a step, or a pixel
        outputs = outputs.reshape(-1, outputs.shape[-1])
        truth = truth.reshape(len(outputs), -1)
    truth = _columns(truth)
    outputs = _columns(outputs)
    if truth.shape[1] > 1:  # one-hot rows
        truth = truth.argmax(axis=1)[:, None]
    return truth, outputs


def has_a_unit_a_class(truth: Array, outputs: Array) -> bool:
    """Whether a binary output has two units for each answer, and not one."""
    if outputs.ndim < 2 or outputs.shape[-1] != 2:
        return False
    return outputs.size == 2 * truth.size or (truth.shape == outputs.shape and is_one_hot(truth))


def class_numbers(y: Array, task: Task = "multiclass") -> Array:
    """Return class numbers, int `(rows, answers)`, of numbers or one-hot rows.

    Without predictions beside it a y of many columns is read as one-hot where each row, or each
    step of it, has exactly one 1; a binary one only where there are two columns.
    """
    y = np.asarray(y)
    if y.ndim > 1 and is_one_hot(y) and (task != "binary" or y.shape[-1] == 2):
        y = y.argmax(axis=-1)
    return _columns(y).astype(int)


def is_one_hot(y: Array) -> bool:
    """Whether the last axis holds exactly one 1, else 0."""
    if y.shape[-1] < 2 or not np.all((y == 0) | (y == 1)):
        return False
    return bool(np.all(y.sum(axis=-1) == 1))


def _columns(values: Array) -> Array:
    """Return `(rows, columns)`, whatever the shape of one row."""
    if values.ndim == 2:
        return values
    return values.reshape(len(values), int(np.prod(values.shape[1:])))


def _repeated(weight: Array | None, n_rows: int, n_answers: int) -> Array | None:
    if weight is None:
        return None
    weight = np.asarray(weight, dtype=float)
    if weight.size == n_answers:
        return weight.reshape(-1)
    # One weight a row counts for each of its answers.
    return np.repeat(weight.reshape(n_rows), n_answers // max(n_rows, 1))
