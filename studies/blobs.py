"""Two adjacent clouds, for which a straight line is enough: accuracy about 0.915.

No network does better here, and the search should show it.
"""

from __future__ import annotations

from tuning import Choice, Float, Int, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.data.toy import blobs

STUDY = Study(
    name="blobs",
    builder=build_model,
    data=blobs,
    objective=Maximize("val_accuracy"),
    space={
        "n_hidden": Int(0, 2),
        "n_neurons": Int(2, 32, log=True),
        "lr": Float(1e-3, 1e-1, log=True),
        "batch_size": Choice(10, 32),
    },
    fixed={"optimizer": "adam"},
    trials=12,
    epochs=50,
    patience=10,
    test_size=0.2,
    seed=23,
)
