"""What a reader should know of a data set before believing its scores."""

from __future__ import annotations

import numpy as np

from tuning.data.arrays import leaves, named, only
from tuning.data.dataset import Dataset, answer_axes, task_of
from tuning.data.faults import class_name
from tuning.data.lazy import LazyArray

UNEVEN = 1.5
"""From this ratio of the largest class to the smallest on, a notice is worth while."""


def notices_on(dataset: Dataset) -> tuple[str, ...]:
    """Return the data set's own notices, how uneven its classes are, which baseline is missing."""
    further = (_imbalance(dataset), _missing_baseline(dataset))
    return (*dataset.notices, *filter(None, further))


def _missing_baseline(dataset: Dataset) -> str:
    """Say why the winner is compared with no linear model; "" where it is."""
    arrays = leaves(dataset.X)
    reason = ""
    if any(isinstance(array, LazyArray) and not array.fits_memory for array in arrays):
        reason = "its rows are read as they come, and do not lie in memory together"
    elif any(array.dtype.kind not in "fiub" for array in arrays):
        reason = "it takes numbers, the inputs are texts"
    elif any(
        task_of(dataset.task, name) in ("binary", "multiclass")
        and answer_axes(y, task_of(dataset.task, name))
        for name, y in named(dataset.y)
    ):
        reason = "each row has many answers"
    if not reason:
        return ""
    return f"no linear baseline: {reason}; the winner is compared with a dummy"


def _imbalance(dataset: Dataset) -> str:
    if dataset.task not in ("binary", "multiclass"):
        return ""
    y = only(dataset.y)
    numbers, counts = np.unique(y.astype(int), return_counts=True)
    if counts.max() < UNEVEN * counts.min():
        return ""

    counted = "rows" if y.ndim == 1 else "answers"
    largest = class_name(dataset.classes, int(numbers[counts.argmax()]))
    smallest = class_name(dataset.classes, int(numbers[counts.argmin()]))
    largest_share = counts.max() / counts.sum()
    smallest_share = counts.min() / counts.sum()
    return (
        f"classes are uneven: {largest} {largest_share:.1%}, {smallest} {smallest_share:.1%} "
        f"of {counts.sum()} {counted}; always predicting {largest} already scores "
        f"an accuracy of {largest_share:.3f}"
    )
