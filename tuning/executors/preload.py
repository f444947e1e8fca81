"""What the forkserver imports once, so that each worker has it at its fork."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

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
# One thread must be alive at the fork: OpenBLAS and the allocator that comes with pandas start others when loaded.
_QUIET = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


def load() -> None:
    """Import TensorFlow, Keras and the rest; runs in the forkserver only.

    `TF_ENABLE_ONEDNN_OPTS` is left alone: a trial must give what the same code gives outside our workers.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _environment(_QUIET):
        for name in _MODULES:
            importlib.import_module(name)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
