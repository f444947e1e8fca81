"""`meta`, as SciKeras gives it to a builder that names it: facts of the data under its names."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuning.data.arrays import only
from tuning.data.dataset import Dataset

_TARGET_TYPES = {
    "regression": ("continuous", "continuous-multioutput"),
    "binary": ("binary", "binary"),
    "multiclass": ("multiclass", "multiclass"),
    "multilabel": ("multilabel-indicator", "multilabel-indicator"),
}


def meta_of(dataset: Dataset) -> dict[str, Any]:
    """Return what SciKeras' `BaseWrapper.get_metadata()` has of fitted data.

    Raises:
        StudyError: The data have several inputs or outputs, which SciKeras has no names for.
    """
    X = only(dataset.X)
    y = only(dataset.y)
    task = str(dataset.task)
    n_columns = 1 if y.ndim == 1 else int(y.shape[1])
    one, several = _TARGET_TYPES[task]
    meta = {
        "n_features_in_": int(X.shape[1]) if X.ndim > 1 else 1,
        "X_shape_": tuple(X.shape),
        "X_dtype_": np.dtype("float32"),  # what the model is given
        "y_dtype_": y.dtype,
        "y_ndim_": int(y.ndim),
        "n_outputs_": n_columns,
        "n_outputs_expected_": n_columns,
        "target_type_": one if n_columns == 1 else several,
    }
    if task in ("binary", "multiclass"):
        classes = np.unique(y)
        meta |= {"classes_": classes, "n_classes_": len(classes)}
    if task == "multilabel":
        meta |= {"classes_": [np.array([0, 1])] * n_columns, "n_classes_": [2] * n_columns}
    return meta
