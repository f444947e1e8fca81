"""Branin's function with noise, and with a bias that shrinks over 27 epochs.

For pruners and Hyperband, without training.
"""

from __future__ import annotations

from tuning import Float, Minimize, Study
from tuning.builders.functions import noisy_branin
from tuning.trials.functions import no_data

STUDY = Study(
    name="noisy_branin",
    builder=noisy_branin,
    data=no_data,
    objective=Minimize("val_value"),
    space={"x1": Float(-5.0, 10.0), "x2": Float(0.0, 15.0)},
    trainer="function",
    trials=50,
    epochs=27,
    seed=42,
)
