"""Weights of classes in the training loss, as a study says them and as `fit` takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tuning.data.arrays import Arrays
from tuning.errors import StudyError, did_you_mean
from tuning.space.domains import Choice
from tuning.study.builder_arguments import ClassWeight
from tuning.study.study_fields import StudyFields


def class_weights(
    declared: ClassWeight, y: Arrays, classes: tuple[str, ...] = ()
) -> dict[int, float] | None:
    """Return the weight of each class by its number; None where all count alike.

    Args:
        declared: See `ClassWeight`. "balanced": the rows of each class weigh as much together as
            those of any other, and all rows together as much as before, as scikit-learn's
            `compute_class_weight`.
        y: Of the training rows: class numbers `(rows,)`, or one column a class.
        classes: Names by number.

    Raises:
        StudyError: A class is named that there is not.
    """
    if declared is None:
        return None
    if isinstance(y, Mapping):
        raise StudyError("class_weight is for one output; weigh the rows of several by weight=")
    if isinstance(declared, str):
        is_one_hot = y.ndim == 2 and y.shape[1] > 1
        labels = y.argmax(axis=1) if is_one_hot else y.reshape(-1)
        numbers, counts = np.unique(labels.astype(int), return_counts=True)
        shares = len(labels) / (len(numbers) * counts)
        return dict(zip(numbers.tolist(), shares.tolist(), strict=True))
    return {_class_number(key, classes): float(value) for key, value in declared.items()}


def _class_number(key: int | str, classes: tuple[str, ...]) -> int:
    # By name first: classes may be called "1" and "2", and be numbered 0 and 1.
    if isinstance(key, str) and key in classes:
        return classes.index(key)
    number = int(key) if not isinstance(key, str) or key.isdecimal() else -1
    if number < 0 or (classes and number >= len(classes)):
        guess = did_you_mean(str(key), classes)
        raise StudyError(
            f"class_weight: there is no class {key!r}.{guess} The classes are numbered from 0: "
            f"{', '.join(classes) or 'they have no names'}"
        )
    return number


def class_weight_faults(study: StudyFields, task: Any, classes: tuple[str, ...]) -> Iterator[str]:
    """Yield what of a study's class weights does not fit its data.

    Args:
        study: Checked.
        task: Of the data set; a mapping where there are several outputs.
        classes: Their names, by number.
    """
    declared = [study.class_weight]
    domain = study.space.domains.get("class_weight")
    if isinstance(domain, Choice):
        declared += domain.values
    declared = [each for each in declared if each is not None]
    if not declared:
        return

    if task not in ("binary", "multiclass"):
        kind = "several outputs" if isinstance(task, Mapping) else str(task)
        yield f"class_weight is for one binary or multiclass output, not for {kind}; use weight="
        return
    for each in declared:
        try:
            class_weights(each, np.zeros(1), classes)
        except StudyError as error:
            yield str(error)
