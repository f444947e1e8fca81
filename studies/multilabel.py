"""Several labels at once: five topics of made documents, one sigmoid each.

A document is right only where all five are.
"""

from __future__ import annotations

from tuning import Choice, Float, Int, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.data.toy import multilabel

STUDY = Study(
    name="multilabel",
    builder=build_model,
    data=multilabel,
    objective=Maximize("val_auc"),
    space={
        "n_hidden": Int(0, 2),
        "n_neurons": Int(8, 64, log=True),
        "lr": Float(1e-3, 3e-2, log=True),
        "loss": Choice("binary_crossentropy", "binary_focal_crossentropy"),
        "batch_size": Choice(16, 32),
    },
    fixed={"optimizer": "adam"},
    trials=12,
    epochs=40,
    patience=8,
    seed=42,
)
