"""What a study should be told where one of its classes is rare, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuning.data.arrays import Array, named
from tuning.data.dataset import Dataset, Task, task_of
from tuning.data.faults import class_name
from tuning.study.study import Study

RARE = 0.05
"""Share of the rows up to which a class is rare: never predicting it costs less accuracy than most
searches gain, so that the search does not see it."""

_ACCURACIES = (
    "accuracy",
    "acc",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
)


def imbalance_advice(study: Study, dataset: Dataset) -> tuple[str, ...]:
    """Return a sentence for each rare class that the study's objective hardly sees.

    Args:
        study: Its objective counts right rows where it is an accuracy; of others nothing is said.
        dataset: Binary or multiclass, else nothing is said; several outputs each for itself.
    """
    return tuple(_advice(study, dataset))


def _advice(study: Study, dataset: Dataset) -> Iterator[str]:
    for output, y in named(dataset.y):
        task = task_of(dataset.task, output)
        prefix = f"{output}_" if output else ""
        name = study.objective.name.removeprefix(prefix)
        if name not in _ACCURACIES or task not in ("binary", "multiclass"):
            continue
        sentence = _sentence(np.asarray(y), task, dataset.classes if not output else (), prefix)
        if sentence:
            yield sentence


def _sentence(numbers: Array, task: Task, classes: tuple[str, ...], prefix: str) -> str:
    found, counts = np.unique(numbers.astype(int), return_counts=True)
    share = float(counts.min() / counts.sum())
    if len(found) < 2 or share > RARE:
        return ""

    counted = "rows" if numbers.ndim == 1 else "answers"
    rarest = class_name(classes, int(found[counts.argmin()]))
    choices = [f'Maximize("val_{prefix}average_precision")', 'class_weight="balanced"']
    if task == "binary":
        choices.append('threshold="tuned" with Maximize("val_f1")')
    else:
        choices.insert(1, f'Maximize("val_{prefix}balanced_accuracy")')
    return (
        f"class {rarest} is {share:.1%} of the {counted}: never predicting it already scores an "
        f"accuracy of {1 - share:.3f}, so the search hardly sees it; fitting choices: "
        f"{', '.join(choices)}"
    )
