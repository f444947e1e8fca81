"""Hyperparameter search and benchmarks for Keras: one study, three libraries, MLflow.

The public names are resolved when first used; importing this package imports neither TensorFlow nor
NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuning.data.dataset import Dataset
    from tuning.data.kinds.image_folder import ImageFolder
    from tuning.data.kinds.stream import Stream
    from tuning.data.kinds.windows import Windows
    from tuning.estimators.wrappers import KerasClassifier, KerasRegressor
    from tuning.lr_range.callback import LRRangeTest
    from tuning.lr_range.sweep import lr_range_test
    from tuning.search.run import run_study
    from tuning.space.space import Choice, Float, Int
    from tuning.storage.secrets import Secret
    from tuning.study.objective import Maximize, Minimize
    from tuning.study.study import Study, load_study
    from tuning.winners.winner import load_winner

_HOMES = {
    "Choice": "tuning.space.space",
    "Dataset": "tuning.data.dataset",
    "Float": "tuning.space.space",
    "ImageFolder": "tuning.data.kinds.image_folder",
    "Int": "tuning.space.space",
    "KerasClassifier": "tuning.estimators.wrappers",
    "KerasRegressor": "tuning.estimators.wrappers",
    "LRRangeTest": "tuning.lr_range.callback",
    "Maximize": "tuning.study.objective",
    "Minimize": "tuning.study.objective",
    "Secret": "tuning.storage.secrets",
    "Stream": "tuning.data.kinds.stream",
    "Study": "tuning.study.study",
    "Windows": "tuning.data.kinds.windows",
    "load_study": "tuning.study.study",
    "load_winner": "tuning.winners.winner",
    "lr_range_test": "tuning.lr_range.sweep",
    "run_study": "tuning.search.run",
}

__version__ = "0.2.0"
__all__ = [
    "Choice",
    "Dataset",
    "Float",
    "ImageFolder",
    "Int",
    "KerasClassifier",
    "KerasRegressor",
    "LRRangeTest",
    "Maximize",
    "Minimize",
    "Secret",
    "Stream",
    "Study",
    "Windows",
    "load_study",
    "load_winner",
    "lr_range_test",
    "run_study",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tuning' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    if _HOMES[name] == "tuning.estimators.wrappers":
        _tell_joblib()
    return value


def _tell_joblib() -> None:
    """Make `joblib.parallel_config("tuning")` work, now that joblib is imported in any case."""
    from joblib.parallel import EXTERNAL_BACKENDS

    EXTERNAL_BACKENDS["tuning"] = lambda: importlib.import_module(
        "tuning.executors.joblib_backend"
    ).register()


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
