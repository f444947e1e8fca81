"""What a reader should know of a data set before believing its scores."""

from __future__ import annotations

import numpy as np

from tuning.data.arrays import only
from tuning.data.dataset import Dataset
from tuning.data.faults import class_name

UNEVEN = 1.5
"""From this ratio of the largest class to the smallest on, a notice is worth while."""


def notices_on(dataset: Dataset) -> tuple[str, ...]:
    """Return the data set's own notices, and how uneven its classes are."""
    imbalance = _imbalance(dataset)
    return (*dataset.notices, imbalance) if imbalance else dataset.notices


def _imbalance(dataset: Dataset) -> str:
    if dataset.task not in ("binary", "multiclass"):
        return ""
    numbers, counts = np.unique(only(dataset.y).astype(int), return_counts=True)
    if counts.max() < UNEVEN * counts.min():
        return ""

    n_rows = counts.sum()
    largest = class_name(dataset.classes, int(numbers[counts.argmax()]))
    smallest = class_name(dataset.classes, int(numbers[counts.argmin()]))
    largest_share = counts.max() / n_rows
    smallest_share = counts.min() / n_rows
    return (
        f"classes are uneven: {largest} {largest_share:.1%}, {smallest} {smallest_share:.1%} "
        f"of {n_rows} rows; always predicting {largest} already scores "
        f"an accuracy of {largest_share:.3f}"
    )
