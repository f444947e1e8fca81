"""What the estimators check of X and y, and what they prepare: as scikit-learn's own do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from tuning.data.arrays import Array, Arrays, each
from tuning.data.parts import as_float32
from tuning.estimators.parameters import BuilderParameters
from tuning.estimators.targets import task_of
from tuning.trainer.rows import by_name


class ChecksData(BuilderParameters):
    """Replaces what SciKeras does with the user's X and y; each method has its name there."""

    preprocessor: Any
    preprocessor_: Any
    feature_encoder: Any
    target_encoder: Any
    _is_classifier: bool

    def _validate_data(self, X: Any = None, y: Any = None, reset: bool = False) -> tuple[Any, Any]:
        """Check X and y as scikit-learn's own estimators do.

        Sparse X becomes dense, numbers stay as they are.
        """
        if X is not None:
            X, y = self._validate_both(X, y, reset)
            X = _dense(X)
            self._check_shape(X, reset)

        if y is not None:
            y = check_array(y, ensure_2d=False, dtype=None if self._is_classifier else "numeric")
            if self._is_classifier and y.ndim == 2 and y.shape[1] == 1:
                y = column_or_1d(y, warn=True)
            self._check_targets(y, reset)
        return X, y

    def _validate_both(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        options: dict[str, Any] = {
            "accept_sparse": True,
            "allow_nd": True,
            "reset": reset,
            "dtype": "numeric",
        }
        if self.preprocessor is not None:
            options["ensure_all_finite"] = "allow-nan"  # it may be the one to fill empty cells

        if y is None:
            return validate_data(self, X, **options), None
        options["y_numeric"] = not self._is_classifier
        X, y = validate_data(self, X, y, multi_output=True, **options)
        return X, y

    def _check_shape(self, X: Array, reset: bool) -> None:
        if reset:
            self.X_shape_ = X.shape
            self.X_dtype_ = X.dtype
        elif X.shape[1:] != self.X_shape_[1:]:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, "
                f"but this estimator knows {self.X_shape_[1:]}"
            )

    def _check_targets(self, y: Array, reset: bool) -> None:
        if self._is_classifier:
            check_classification_targets(y)
        if reset:
            self.y_dtype_ = y.dtype
            self.y_ndim_ = y.ndim
            self.target_type_ = self._type_of_target(y)
        elif y.ndim != self.y_ndim_:
            raise ValueError(f"y has {y.ndim} dimensions, but this estimator knows {self.y_ndim_}")

    def _fit_encoder(self, y: Array) -> None:
        self.target_encoder_ = self.target_encoder.fit(y)
        vars(self).update(_metadata(self.target_encoder_))
        classes = getattr(self, "classes_", None)
        self._task, self._n_outputs = task_of(y, self._is_classifier, classes)

    def _fit_preprocessor(self, X: Array) -> None:
        """Fit a clone of the preprocessor, then the encoder of a subclass, on the rows trained on.

        `feature_encoder` is SciKeras' way to transform X in a subclass; it may make several inputs.
        """
        self.preprocessor_ = None if self.preprocessor is None else clone(self.preprocessor).fit(X)
        self.feature_encoder_ = self.feature_encoder.fit(self._preprocessed(X))
        vars(self).update(_metadata(self.feature_encoder_))
        self._input_shape = shapes_of(self._prepared(X[:1]))

    def _preprocessed(self, X: Array) -> Array:
        return X if self.preprocessor_ is None else _dense(self.preprocessor_.transform(X))

    def _prepared(self, X: Array) -> Arrays:
        """Return what the model takes of X, several inputs by name or place; see `as_float32`."""
        encoded = by_name(self.feature_encoder_.transform(self._preprocessed(X)))
        return each(lambda array: as_float32(np.asarray(_dense(array))), encoded)


def shapes_of(inputs: Arrays) -> Any:
    """Return the shape of one row, or of each input's by name."""
    return each(lambda array: tuple(array.shape[1:]), inputs)


def _metadata(encoder: Any) -> Mapping[str, Any]:
    """Return what an encoder tells of the data, as SciKeras asks for it."""
    tell = getattr(encoder, "get_metadata", dict)
    metadata: Mapping[str, Any] = tell()
    return metadata


def _dense(X: Any) -> Any:
    return X.toarray() if hasattr(X, "toarray") else X
