"""The threshold between two classes: given, or tuned as `TunedThresholdClassifierCV` does."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Literal, TypeAlias

import numpy as np

from tuning.data.arrays import Array, Arrays
from tuning.data.dataset import Tasks
from tuning.data.faults import class_name
from tuning.errors import StudyError
from tuning.scoring.case import class_numbers, has_a_unit_a_class
from tuning.scoring.measure import Measure, measure_of
from tuning.study.objective import Objective

Threshold: TypeAlias = float | Literal["tuned"] | None
"""From which probability on a row is of class 1.

"tuned": found on rows held out; None: above 0.5.
"""

N_CANDIDATES = 100
"""As `TunedThresholdClassifierCV(thresholds=100)`: from the lowest probability to the highest."""

SHARE = 0.2
"""Of the training rows, held out to tune on: of a class of 1 % a tenth holds too few."""

FEW = 10
"""Rows of a class below which a threshold tuned on them is mostly luck: one row more or less moves
recall by a tenth.
"""

_OTHERWISE = Objective("val_balanced_accuracy", "maximize")
"""What scikit-learn tunes by where nothing is said: for objectives that no threshold changes."""


def tuned_threshold(
    objective: Objective,
    task: Tasks,
    y: Arrays,
    probabilities: Arrays,
    weight: Arrays | None = None,
) -> float:
    """Return the threshold that is best for the objective on some rows, the first of equals.

    Source: scikit-learn's `TunedThresholdClassifierCV`, of one split; like there an objective that
    does not look at classes is stood in for by balanced accuracy.

    Args:
        objective: What is to be best.
        task: Of the data set, "binary".
        y: `(rows, …)`: rows that the model was not trained on.
        probabilities: What the model predicts for them.
        weight: `(rows,)` or None.

    Returns:
        A probability; 0.5 where the model gives all rows the same one, or nothing has a value.
    """
    measure = measure_of(objective, task)
    if measure is None or not measure.wants_threshold:
        objective = _OTHERWISE
        measure = measure_of(objective, task)
    assert measure is not None  # noqa: S101 - of a binary task balanced accuracy has a value
    return threshold_on(measure, objective, y, probabilities, weight)


def threshold_on(
    measure: Measure,
    objective: Objective,
    y: Arrays,
    probabilities: Arrays,
    weight: Arrays | None = None,
) -> float:
    """Return the best threshold by a measure that looks at classes; see `tuned_threshold`."""
    chances = np.asarray(measure.of_output(probabilities), dtype=float)
    if has_a_unit_a_class(measure.of_output(y), chances):
        chances = chances[..., -1]
    if not np.all(np.isfinite(chances)) or np.isclose(chances.min(), chances.max()):
        return 0.5

    value_at = functools.partial(measure, y, probabilities, weight)
    best, best_key = 0.5, math.inf
    for candidate in np.linspace(chances.min(), chances.max(), N_CANDIDATES).tolist():
        key = objective.key(value_at(threshold=candidate))
        if key < best_key:
            best, best_key = candidate, key
    return float(best)


def check_threshold(threshold: Threshold, task: Tasks) -> None:
    """Raise `StudyError` where a threshold is given and there are not two classes to part."""
    if threshold is not None and task != "binary":
        described = task if isinstance(task, str) else "several outputs'"
        raise StudyError(
            f"threshold={threshold!r} parts two classes, the data are {described}; leave it out",
            where="threshold",
        )


def few_held_out(held_out: Iterable[Array], classes: tuple[str, ...]) -> str:
    """Say that a threshold is tuned on too few rows of a class; "" where there are enough.

    Args:
        held_out: y of the rows that are held out to tune on, of each fit.
        classes: Their names, where they have some.
    """
    numbers = [class_numbers(y, "binary").reshape(-1) for y in held_out]
    counts = [np.bincount(each, minlength=2)[:2] for each in numbers]
    if not counts:
        return ""
    fewest = min(counts, key=lambda count: int(count.min()))
    rarer = int(fewest.argmin())
    if fewest[rarer] >= FEW:
        return ""
    return (
        f'threshold="tuned": of {fewest.sum()} rows held out to tune on, {fewest[rarer]} are of '
        f"class {class_name(classes, rarer)}, {FEW} are wanted: the threshold will vary from "
        "fit to fit; fitting choices: more rows, a fixed threshold, as 0.3, or "
        'Maximize("val_average_precision"), which needs none'
    )
