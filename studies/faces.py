"""Faces: whether it is the person photographed most often.

Judged against always saying so: 530 of 766, thus 0.692.

About 200 MB are fetched once from the internet. The courses' network: 20 and 10 relu units, Adam,
batches of 16.
"""

from __future__ import annotations

from tuning import Choice, Float, Int, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.data.images import faces

STUDY = Study(
    name="faces",
    builder=build_model,
    data=faces,
    objective=Maximize("val_accuracy"),
    space={
        "n_hidden": Int(1, 3),
        "n_neurons": Int(10, 100, log=True),
        "shape": Choice("constant", "pyramid"),
        "lr": Float(3e-4, 1e-2, log=True),
        "batch_size": Choice(16, 32),
    },
    fixed={"optimizer": "adam"},
    trials=12,
    epochs=40,
    patience=8,
    seed=42,
)
