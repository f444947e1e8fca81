"""Survival on the Titanic: numbers and categories, uneven classes.

Any CSV or Parquet file goes the same way.

For a table of your own: `data=Table("path/to/table.csv", target="survived", task="binary")` of
`tuning.data.tables`, or no study at all: `python -m tuning run path/to/table.csv --target survived
--task binary`.
"""

from __future__ import annotations

from tuning import Choice, Float, Int, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.data.tables.titanic import survived

STUDY = Study(
    name="survived",
    builder=build_model,
    data=survived,
    objective=Maximize("val_accuracy"),
    space={
        "n_hidden": Int(0, 3),
        "n_neurons": Int(8, 64, log=True),
        "lr": Float(1e-3, 3e-2, log=True),
        "dropout": Float(0.0, 0.4),
        "batch_size": Choice(16, 32, 64),
    },
    fixed={"optimizer": "adam"},
    trials=15,
    epochs=50,
    patience=8,
    seed=42,
)
