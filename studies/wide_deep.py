"""California housing: the courses' wide & deep network.

Searched around its two layers of 30 neurons and SGD at 1e-3.
"""

from __future__ import annotations

from tuning import Choice, Float, Int, Minimize, Study
from tuning.builders.wide_deep import build_wide_deep
from tuning.data.california import california_housing

STUDY = Study(
    name="wide_deep",
    builder=build_wide_deep,
    data=california_housing,
    objective=Minimize("val_rmse"),
    space={
        "n_hidden": Int(1, 3),
        "n_neurons": Int(10, 100, step=10),
        "lr": Float(3e-4, 3e-2, log=True),
        "optimizer": Choice("sgd", "adam"),
    },
    trials=12,
    epochs=30,
    patience=5,
    seed=42,
)
