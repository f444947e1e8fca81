"""A study for engines that replay a recording: its space and seeds, no builder, no data."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from tuning.data.dataset import Dataset
from tuning.errors import TuningError
from tuning.simulation.recording import Recording
from tuning.study.builder_arguments import Builder
from tuning.study.info import DatasetFacts
from tuning.study.study import Study

_ROWS = 240  # enough of each class for any number of folds; nobody reads them


def study_of(recording: Recording) -> Study:
    """Return a study like the one recorded, as far as engines see it."""
    manifest = recording.manifest
    return Study(
        name=manifest.study,
        builder=_builder(recording),
        data=_Rows(manifest.data),
        objective=recording.objective,
        space=recording.space,
        engine=manifest.engine,
        trials=manifest.trials,
        epochs=manifest.epochs,
        patience=manifest.patience,
        cv=manifest.cv,
        seed=manifest.seed,
        batch_size=manifest.batch_size,
        attempts=manifest.attempts,
        max_failures=manifest.max_failures,
    )


def _builder(recording: Recording) -> Builder:
    """Return a function that says it takes the recorded parameters, and cannot be called."""

    def recorded(**params: Any) -> Any:
        raise TuningError("a recording is replayed, nothing is built")

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
        for name in recording.space
    ]
    recorded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return recorded


class _Rows:
    """Rows of the recorded task, with its classes, for engines that cut folds."""

    def __init__(self, facts: DatasetFacts) -> None:
        self._facts = facts

    def __call__(self) -> Dataset:
        """Return the rows."""
        numbers = np.arange(_ROWS)
        classes = self._facts.classes
        if self._facts.task in ("binary", "multiclass"):
            y = numbers % len(classes)
        elif self._facts.task == "multilabel":
            y = np.stack([numbers % 2, numbers // 2 % 2], axis=1)
        else:
            y = numbers.astype(float)
        return Dataset(
            "stand-in",
            numbers[:, None].astype(float),
            y,
            self._facts.task,
            classes=classes,
            scale=False,
        )
