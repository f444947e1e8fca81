"""Branin's function of two variables, least value 0.397887: an engine is tried without training."""

from __future__ import annotations

from tuning import Float, Minimize, Study
from tuning.builders.functions import branin
from tuning.trials.functions import no_data

STUDY = Study(
    name="branin",
    builder=branin,
    data=no_data,
    objective=Minimize("val_value"),
    space={"x1": Float(-5.0, 10.0), "x2": Float(0.0, 15.0)},
    trainer="function",
    trials=50,
    epochs=1,
    seeds=1,
    seed=42,
)
