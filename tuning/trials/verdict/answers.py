"""What the outputs of a saved winner mean, kept beside it: task, classes, logits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import keras
import numpy as np

from tuning.data.arrays import Array, Arrays, named
from tuning.data.dataset import Task, task_of
from tuning.data.parts import Parts
from tuning.errors import StudyError
from tuning.schema import SCHEMA, Json, JsonObject
from tuning.scoring.case import has_a_unit_a_class
from tuning.storage.checked import load_checked
from tuning.storage.durable import write_json
from tuning.trainer.outputs import by_target, link_of, linked

_LINKS = ("", "sigmoid", "softmax")


@dataclass(frozen=True, kw_only=True)
class Output:
    """One output of a winner.

    Attributes:
        name: As the data set calls it; "" where there is one.
        task: How its numbers are read.
        link: What makes probabilities of them: "sigmoid", "softmax" or "" for nothing.
        two_units: Whether a binary answer has a unit for each of its classes.
        classes: Names of the classes, by number; empty where they have none.
    """

    name: str = ""
    task: Task = "regression"
    link: str = ""
    two_units: bool = False
    classes: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "name": self.name,
            "task": self.task,
            "link": self.link,
            "two_units": self.two_units,
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Return what `to_json` was called on."""
        if stored["link"] not in _LINKS:
            raise ValueError(f"link {stored['link']!r:.40} is none of {', '.join(_LINKS)}")
        return cls(
            name=str(stored["name"]),
            task=stored["task"],
            link=stored["link"],
            two_units=bool(stored["two_units"]),
            classes=tuple(map(str, stored["classes"])),
        )

    def probabilities(self, predicted: Array) -> Array:
        """Return a probability for each class, or for each label.

        Args:
            predicted: float `(rows, …)`, as the model returns it.

        Returns:
            Of classes `(rows, …, classes)`, of labels `(rows, labels)`.

        Raises:
            StudyError: It predicts numbers; or the numbers are no probabilities.
        """
        if self.task == "regression":
            raise StudyError("the winner predicts numbers, which have no probabilities; predict")
        chances = linked(self.link, np.asarray(predicted))
        if chances.size and not (chances.min() >= 0 and chances.max() <= 1):
            raise StudyError(
                f"probabilities lie between 0 and 1, the model gives {chances.min():g} to "
                f"{chances.max():g}; it was kept without its loss's from_logits: take .model and "
                "apply the sigmoid or softmax"
            )
        if self.task != "binary" or self._has_two(chances):
            return chances
        chances = _without_last(chances)
        return np.stack([1 - chances, chances], axis=-1)

    def answers(self, predicted: Array, threshold: float | None = None) -> Array:
        """Return numbers, names of classes (their numbers where they have none), or 0 and 1.

        Args:
            predicted: float `(rows, …)`, as the model returns it.
            threshold: From this probability on a row is of the second class, or a label set; None:
                above 0.5.

        Returns:
            One answer a row, `(rows,)`, or `(rows, …)` where a row has several.
        """
        if self.task == "regression":
            return _without_last(np.asarray(predicted))
        chances = self.probabilities(predicted)
        if self.task == "multilabel":
            return _above(chances, threshold).astype(int)
        if self.task == "multiclass":
            numbers = np.asarray(chances.argmax(axis=-1))
        else:
            numbers = _above(chances[..., 1], threshold).astype(int)
        return np.asarray(self.classes)[numbers] if self.classes else numbers

    def _has_two(self, chances: Array) -> bool:
        return self.two_units and chances.shape[-1] == 2


def _above(chances: Array, threshold: float | None) -> Array:
    return np.asarray(chances > 0.5 if threshold is None else chances >= threshold)


def _without_last(values: Array) -> Array:
    """Drop a last axis of 1: a row has one answer."""
    if values.ndim > 1 and values.shape[-1] == 1:
        return np.asarray(values[..., 0])
    return values


def keep_outputs(path: Path, model: keras.Model, parts: Parts, predicted: Arrays) -> None:
    """Write beside the model saved at `path` what its outputs mean.

    Args:
        path: The `.keras` file.
        model: As it was trained: its loss tells whether it gives logits.
        parts: The data: tasks, and names of classes.
        predicted: What the model gives for the test part.
    """
    truths = dict(named(parts.test.y))
    outputs = []
    for name, array in named(by_target(predicted, parts.test.y)):
        task = task_of(parts.task, name)
        truth = truths.get(name)
        outputs.append(
            Output(
                name=name,
                task=task,
                link="" if task == "regression" else link_of(model, name),
                two_units=task == "binary"
                and truth is not None
                and has_a_unit_a_class(np.asarray(truth), np.asarray(array)),
                classes=() if name or task == "regression" else parts.classes,
            )
        )
    write_json(
        _beside(path), {"schema": SCHEMA, "outputs": [output.to_json() for output in outputs]}
    )


def outputs_of(path: Path) -> tuple[Output, ...]:
    """Return what the outputs of the model saved at `path` mean; () where it was not kept."""
    return load_checked(_beside(path), _outputs) or ()


def _outputs(stored: Json) -> tuple[Output, ...]:
    return tuple(Output.from_json(item) for item in stored["outputs"])


def _beside(path: Path) -> Path:
    return path.with_suffix(".outputs.json")
