"""Hartmann's function of six variables, least value -3.32237.

Nothing is trained: an engine is tried.
"""

from __future__ import annotations

from tuning import Float, Minimize, Study
from tuning.builders.functions import hartmann6
from tuning.trials.functions import no_data

STUDY = Study(
    name="hartmann6",
    builder=hartmann6,
    data=no_data,
    objective=Minimize("val_value"),
    space={
        "x1": Float(0.0, 1.0),
        "x2": Float(0.0, 1.0),
        "x3": Float(0.0, 1.0),
        "x4": Float(0.0, 1.0),
        "x5": Float(0.0, 1.0),
        "x6": Float(0.0, 1.0),
    },
    trainer="function",
    trials=100,
    epochs=1,
    seeds=1,
    seed=42,
)
