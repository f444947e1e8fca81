"""Class weights where `fit` takes none: several outputs, masks, tagged steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from tuning.data.arrays import Array, named
from tuning.data.dataset import Tasks, task_of
from tuning.errors import StudyError
from tuning.scoring.class_weights import class_weights, of_output
from tuning.study.builder_arguments import ClassWeight
from tuning.trainer.rows import Rows


class Weighed(NamedTuple):
    """Training rows, and the class weights that `fit` is given beside them."""

    rows: Rows
    class_weight: Mapping[int, float] | None


def weighed_by_class(
    train: Rows,
    declared: ClassWeight,
    *,
    task: Tasks,
    one_hot: Collection[str],
    classes: tuple[str, ...] = (),
) -> Weighed:
    """Return the training rows with the weights of their classes.

    `fit` takes class weights of one output with one answer a row. Of several outputs, and of
    masks and tagged steps, they become weights of the answers, which do the same.

    Args:
        train: The training rows, as the model takes them.
        declared: Of the study, or of the point.
        task: Of the data set.
        one_hot: Outputs whose class numbers have become one-hot rows.
        classes: Names by number.

    Raises:
        StudyError: The output has no loss for each answer.
    """
    if declared is None:
        return Weighed(train, None)
    y = train.y
    if not isinstance(y, Mapping) and _has_one_answer(y, "" in one_hot):
        return Weighed(train, class_weights(declared, y, classes))

    by_name = {}
    for name, targets in named(y):
        of_task = task_of(task, name)
        given = train.weight.get(name) if isinstance(train.weight, Mapping) else train.weight
        wanted = of_output(declared, name, of_task) if name else declared
        if wanted is not None:
            numbers = _class_numbers(targets, name in one_hot, of_task)
            weights = class_weights(wanted, numbers.reshape(-1), () if name else classes)
            given = _times(given, numbers, weights or {})
        by_name[name] = np.ones(len(targets), np.float32) if given is None else given
    weight = by_name if isinstance(y, Mapping) else by_name[""]
    return Weighed(Rows(train.X, y, weight), None)


def _has_one_answer(y: Array, is_one_hot: bool) -> bool:
    axes = y.shape[1:-1] if is_one_hot else y.shape[1:]
    return int(np.prod(axes)) == 1


def _class_numbers(y: Array, is_one_hot: bool, task: str) -> Array:
    """Return the class of each answer, of the shape that the loss has values of."""
    if is_one_hot:
        return np.asarray(y.argmax(axis=-1))
    if y.ndim > 1 and y.shape[-1] == 1:
        return y[..., 0].astype(int)
    if task == "binary" and y.ndim > 1:
        raise StudyError(
            f"class_weight weighs each answer, the output of shape {y.shape[1:]} has a loss for "
            f"each of {y.shape[1:-1]}; end the model with a last axis of 1"
        )
    return y.astype(int)


def _times(given: Array | None, numbers: Array, weights: Mapping[int, float]) -> Array:
    """Return the weight of each answer's class, times what it counts already."""
    table = np.ones(int(max([numbers.max(initial=0), *weights])) + 1, np.float32)
    table[list(weights)] = list(weights.values())
    of_classes = table[numbers]
    if given is None:
        return of_classes
    return of_classes * given.reshape(*given.shape, *[1] * (numbers.ndim - given.ndim))
