"""A study for engines that replay a recording: the recorded space and seeds, without the builder
and the data.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from tuning.data.dataset import Dataset
from tuning.errors import TuningError
from tuning.simulation.recording import Recording
from tuning.study.study import Study

_ROWS = 240  # enough of each class for any number of folds; nobody reads them


def study_of(recording: Recording) -> Study:
    """Return a study like the one recorded, as far as engines see it."""
    told = recording.manifest
    return Study(
        name=told["study"],
        builder=_builder(recording),
        data=_Data(told["data"]),
        objective=recording.objective,
        space=recording.space,
        engine=told["engine"],
        trials=told["trials"],
        **{
            n: told[n]
            for n in ("epochs", "patience", "cv", "seed", "batch_size", "attempts", "max_failures")
        },
    )


def _builder(recording: Recording) -> Any:
    def recorded(**params: Any) -> Any:
        raise TuningError("a recording is replayed, nothing is built")

    given = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
        for name in recording.space
    ]
    recorded.__signature__ = inspect.Signature(given)  # type: ignore[attr-defined]
    return recorded


class _Data:
    """Rows of the recorded task, with its classes, for engines that cut folds."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts

    def __call__(self) -> Dataset:
        """Return the rows."""
        task, classes = self._facts["task"], tuple(self._facts["classes"])
        numbers = np.arange(_ROWS)
        y = numbers.astype(float)
        if task in ("binary", "multiclass"):
            y = numbers % len(classes)
        elif task == "multilabel":
            y = np.stack([numbers % 2, numbers // 2 % 2], axis=1)
        return Dataset(
            "stand-in", numbers[:, None].astype(float), y, task, classes=classes, scale=False
        )
