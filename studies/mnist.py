"""MNIST, 5,000 of its digits: the courses' network of 300 and 100 relu units.

Searched in shape, rate and batch size, with Adam.

Fetched once from a package that carries them. `tuning.data.images.mnist` is all 70,000, cut as the
courses cut them.
"""

from __future__ import annotations

from tuning import Choice, Float, Int, Maximize, Study
from tuning.builders.mlp import build_model
from tuning.data.images import mnist_5k

STUDY = Study(
    name="mnist",
    builder=build_model,
    data=mnist_5k,
    objective=Maximize("val_accuracy"),
    space={
        "n_hidden": Int(1, 3),
        "n_neurons": Int(64, 384, log=True),
        "shape": Choice("constant", "pyramid"),
        "lr": Float(3e-4, 5e-3, log=True),
        "dropout": Float(0.0, 0.4),
        "batch_size": Choice(32, 64),
    },
    fixed={"optimizer": "adam"},
    trials=10,
    epochs=30,
    patience=5,
    top_k=2,
    seed=42,
)
