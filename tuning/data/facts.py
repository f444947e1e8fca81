"""What a reader should know of a data set before believing its scores."""

from __future__ import annotations

import numpy as np

from tuning.data.dataset import Dataset
from tuning.data.faults import class_name

UNEVEN = 1.5
"""The largest class has so many times the members of the smallest: worth a notice."""


def notices_on(dataset: Dataset) -> tuple[str, ...]:
    """Return the data set's own notices, and how uneven its classes are."""
    return (*dataset.notices, *([imbalance] if (imbalance := _imbalance(dataset)) else []))


def _imbalance(dataset: Dataset) -> str:
    if dataset.task not in ("binary", "multiclass"):
        return ""
    numbers, counts = np.unique(dataset.y.astype(int), return_counts=True)
    if counts.max() < UNEVEN * counts.min():
        return ""
    largest, smallest = (int(numbers[i]) for i in (counts.argmax(), counts.argmin()))
    shares = (counts.max() / counts.sum(), counts.min() / counts.sum())
    names = [class_name(dataset.classes, number) for number in (largest, smallest)]
    return (
        f"classes are uneven: {names[0]} {shares[0]:.1%}, {names[1]} {shares[1]:.1%} of {len(dataset.y)} rows; "
        f"an accuracy of {shares[0]:.3f} is had by always saying {names[0]}"
    )
