"""What the forkserver imports once, so that each worker has it at its fork."""

from __future__ import annotations

import importlib
import os

_MODULES = (
    "numpy",
    "tensorflow",
    "keras",
    "sklearn.model_selection",
    "sklearn.preprocessing",
    "sklearn.metrics",
    "psutil",
    "tuning.executors.worker",
)


def load() -> None:
    """Import TensorFlow, Keras and the rest; runs in the forkserver only.

    `TF_ENABLE_ONEDNN_OPTS` is left alone: a trial must give what the same code gives outside our workers.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in _MODULES:
        importlib.import_module(name)
