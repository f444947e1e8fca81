"""`table_study`: a user's own table as a study, without a study file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tuning.builders.mlp import build_model
from tuning.data.dataset import Task
from tuning.data.tables.files import is_table, stem
from tuning.data.tables.table import Table
from tuning.errors import StudyError, did_you_mean
from tuning.space.domains import Choice, Float, Int
from tuning.study.objective import Maximize, Minimize
from tuning.study.study import Study

TABLE_TASKS: tuple[Task, ...] = ("regression", "binary", "multiclass")
_OBJECTIVES = {
    "regression": Minimize("val_rmse"),
    "binary": Maximize("val_accuracy"),
    "multiclass": Maximize("val_accuracy"),
}


def table_study(path: str, *, target: str | None, task: str | None, **options: Any) -> Study:
    """Return the search of an MLP for a table.

    Searched are layers, neurons, learning rate, batch size and dropout.

    Args:
        path: CSV or Parquet, with a header. It is read when the search begins.
        target: The column to be predicted; all others are inputs.
        task: regression (judged by RMSE), binary or multiclass (by accuracy).
        options: How it is read, fields of `TableOptions`.

    Raises:
        StudyError: There is no such file, or target or task is missing or unknown.
    """
    faults = []
    if not is_table(path) or not Path(path).is_file():
        faults.append(f"no file {path!r}")
    if not target:
        faults.append("--target COLUMN is missing: which column is to be predicted?")

    known_task = next((known for known in TABLE_TASKS if known == task), None)
    if known_task is None:
        fault = "--task is missing."
        if task:
            fault = f"task {task!r} is unknown.{did_you_mean(task, TABLE_TASKS)}"
        faults.append(f"{fault} There are: {', '.join(TABLE_TASKS)}")

    # Only the first can be true; the others tell the type checker so.
    if faults or target is None or known_task is None:
        raise StudyError(faults, where=f"table '{path}'")

    return Study(
        name=_name(path, target),
        builder=build_model,
        data=Table(str(Path(path).resolve()), target, known_task, **options),
        objective=_OBJECTIVES[known_task],
        space={
            "n_hidden": Int(0, 3),
            "n_neurons": Int(8, 128, log=True),
            "lr": Float(3e-4, 3e-2, log=True),
            "dropout": Float(0.0, 0.5),
            "batch_size": Choice(16, 32, 64),
        },
        fixed={"optimizer": "adam"},
        trials=20,
        epochs=50,
        patience=8,
        seed=42,
    )


def _name(path: str, target: str) -> str:
    """Return a study's name for file and column: `titanic-survived`."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", f"{stem(path)}-{target}".lower()).strip("-_")
    return plain[:64] or "table"
