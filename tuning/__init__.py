"""Hyperparameter search and benchmarks for Keras: one study, three libraries, every trial in MLflow.

The public names are resolved when first used; importing this package imports neither TensorFlow nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuning.dataset import Dataset
    from tuning.objective import Maximize, Minimize
    from tuning.run import run_study
    from tuning.space import Choice, Float, Int
    from tuning.study import Study, load_study
    from tuning.training.estimators import KerasClassifier, KerasRegressor
    from tuning.training.lr_callback import LRRangeTest
    from tuning.training.lr_range import lr_range_test

_HOMES = {
    "Choice": "tuning.space",
    "Dataset": "tuning.dataset",
    "Float": "tuning.space",
    "Int": "tuning.space",
    "KerasClassifier": "tuning.training.estimators",
    "KerasRegressor": "tuning.training.estimators",
    "LRRangeTest": "tuning.training.lr_callback",
    "Maximize": "tuning.objective",
    "Minimize": "tuning.objective",
    "Study": "tuning.study",
    "load_study": "tuning.study",
    "lr_range_test": "tuning.training.lr_range",
    "run_study": "tuning.run",
}

__version__ = "0.1.0"
__all__ = [
    "Choice", "Dataset", "Float", "Int", "KerasClassifier", "KerasRegressor", "LRRangeTest", "Maximize", "Minimize",
    "Study", "load_study", "lr_range_test", "run_study",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tuning' has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    if _HOMES[name] == "tuning.training.estimators":
        _tell_joblib()
    return found


def _tell_joblib() -> None:
    """Make `joblib.parallel_config("tuning")` work, now that joblib is imported in any case."""
    from joblib.parallel import EXTERNAL_BACKENDS

    EXTERNAL_BACKENDS["tuning"] = lambda: importlib.import_module("tuning.joblib_backend").register()


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
