"""Weights of classes in the training loss, as a study says them and as `fit` takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from tuning.data.arrays import Arrays
from tuning.errors import StudyError, did_you_mean
from tuning.space.domains import Choice
from tuning.study.builder_arguments import ClassWeight, OfOneOutput
from tuning.study.study_fields import StudyFields

CLASS_TASKS = ("binary", "multiclass")
_EXAMPLE = "'balanced' or {0: 1.0, 1: 5.0}"


def class_weights(
    declared: ClassWeight, y: Arrays, classes: tuple[str, ...] = ()
) -> dict[int, float] | None:
    """Return the weight of each class by its number; None where all count alike.

    Args:
        declared: Of one output, see `OfOneOutput`. "balanced": the rows of each class weigh as much
            together as those of any other, and all rows together as much as before, as
            scikit-learn's `compute_class_weight`.
        y: Of the training rows: class numbers `(rows,)`, or one column a class.
        classes: Names by number.

    Raises:
        StudyError: A class is named that there is not.
    """
    if declared is None:
        return None
    if isinstance(y, Mapping):
        raise StudyError("class_weight of several outputs is looked up for each of them")
    if isinstance(declared, str):
        is_one_hot = y.ndim == 2 and y.shape[1] > 1
        labels = y.argmax(axis=1) if is_one_hot else y.reshape(-1)
        numbers, counts = np.unique(np.rint(labels).astype(int), return_counts=True)
        shares = len(labels) / (len(numbers) * counts)
        return dict(zip(numbers.tolist(), shares.tolist(), strict=True))
    by_class = cast(Mapping[int | str, float], declared)
    return {_class_number(key, classes): float(value) for key, value in by_class.items()}


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
    for each in declared:
        if each is not None:
            yield from _faults_of(each, task, classes)


def _faults_of(declared: Any, task: Any, classes: tuple[str, ...]) -> Iterator[str]:
    is_by_output = is_of_outputs(declared)
    if not isinstance(task, Mapping):
        if is_by_output:
            yield f"class_weight is by output, the data have one; give {_EXAMPLE} alone"
        else:
            yield from _faults_of_output(declared, task, classes, "class_weight")
        return

    with_classes = [name for name in task if task[name] in CLASS_TASKS]
    if not with_classes:
        yield "class_weight is for binary and multiclass outputs, there is none; use weight="
    elif isinstance(declared, Mapping) and not is_by_output:
        yield (
            f"class_weight: the data have {len(task)} outputs, say which one: "
            f"{{'{with_classes[0]}': {dict(declared)!r}}}"
        )
    elif is_by_output:
        for name, of_output in declared.items():
            if name not in task:
                guess = did_you_mean(str(name), tuple(task))
                yield f"class_weight: no output is called {name!r}.{guess} There are: " + ", ".join(
                    task
                )
            elif of_output is not None:
                # Of several outputs the names of classes would mix: they have numbers alone.
                label = f"class_weight['{name}']"
                yield from _faults_of_output(of_output, task[name], (), label)


def _faults_of_output(
    declared: OfOneOutput, task: str, classes: tuple[str, ...], label: str
) -> Iterator[str]:
    if task not in CLASS_TASKS:
        yield f"{label} is for a binary or multiclass output, not for {task}; use weight="
        return
    try:
        class_weights(declared, np.zeros(1), classes)
    except StudyError as error:
        yield str(error)


def is_of_outputs(declared: Any) -> bool:
    """Whether class weights are a mapping by output, of what each output has."""
    if not isinstance(declared, Mapping):
        return False
    return not any(isinstance(value, int | float) for value in declared.values())


def of_output(declared: ClassWeight, name: str, task: str) -> OfOneOutput:
    """Return the class weights of one output of several; None where it has no classes."""
    if task not in CLASS_TASKS:
        return None
    if not isinstance(declared, Mapping):
        return declared
    return cast(Mapping[str, OfOneOutput], declared).get(name)
