"""What the forkserver imports once, so that each worker has it at its fork."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# One thread must be alive at the fork: OpenBLAS and the allocator that comes with pandas start
# others when loaded.
_QUIET = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
# What Keras imports for pictures that no worker draws: 0.35 s of 2.2.
_PICTURES = ("matplotlib", "matplotlib.pyplot", "matplotlib.patches")


def load() -> None:
    """Import TensorFlow, Keras and the rest; runs in the forkserver only.

    `TF_ENABLE_ONEDNN_OPTS` is left alone: a trial must give what the same code gives outside our
    workers.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _environment(_QUIET), _deferred(_PICTURES):
        _import_libraries()

        import tuning.executors.worker  # noqa: F401
        from tuning.trainer.native import epoch

        epoch.load()


def _import_libraries() -> None:
    """Import what every trial needs, so that a worker has it at its fork."""
    import keras  # noqa: F401 - after TensorFlow, its backend
    import numpy  # noqa: F401
    import psutil  # noqa: F401
    import sklearn.metrics
    import sklearn.model_selection
    import sklearn.preprocessing  # noqa: F401
    import tensorflow  # noqa: F401


class _Deferred(ModuleType):
    """Stands for a module in those that imported it, until something of it is needed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # those who look through all modules ask for these
            raise AttributeError(name)
        _end_deferring()
        return getattr(importlib.import_module(self.__name__), name)


def _end_deferring() -> None:
    """Let the next import of a deferred module find the real one."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, _Deferred):
            del sys.modules[name]


@contextmanager
def _deferred(names: Sequence[str]) -> Iterator[None]:
    """Give stand-ins to whoever imports these modules meanwhile.

    Importing them later gives the real ones.

    Args:
        names: Each package before its modules, all of one distribution; left alone where it is not
            installed.
    """
    if importlib.util.find_spec(names[0]) is None:
        yield
        return

    for name in names:
        sys.modules[name] = _Deferred(name)
        package, _, module = name.rpartition(".")
        if package:
            setattr(sys.modules[package], module, sys.modules[name])
    try:
        yield
    finally:
        _end_deferring()


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    yield

    # After an error nothing is put back: the forkserver ends.
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
