"""The study's scaling as a scikit-learn transformer, fitted inside each fold."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator, TransformerMixin

from tuning.data.parts import scaler
from tuning.dataset import Array


class FoldScaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Standardises inputs of any shape, with the very arithmetic of the other engines' folds."""

    def fit(self, X: Array, y: Any = None) -> Self:
        """Take mean and deviation of each input, `(rows, *input_shape)`."""
        self.scaler_ = scaler(X)
        return self

    def transform(self, X: Array) -> Array:
        """Return float32 in the shape of X."""
        return self.scaler_.transform(X)
