"""The study's scaling as a scikit-learn transformer, fitted inside each fold."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator, TransformerMixin

from tuning.data.arrays import only
from tuning.data.columns import table_scaler
from tuning.data.dataset import Array, Column
from tuning.data.parts import scaler


class FoldScaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Prepares inputs of any shape with the very arithmetic of the other engines' folds.

    Attributes:
        columns: Of a user's table, see `Dataset.columns`; empty: inputs are standardised.
    """

    def __init__(self, columns: tuple[Column, ...] = ()) -> None:
        self.columns = columns

    def fit(self, X: Array, y: Any = None) -> Self:
        """Take the figures of each input, `(rows, *input_shape)`."""
        self.scaler_ = table_scaler(X, self.columns) if self.columns else scaler(X)
        return self

    def transform(self, X: Array) -> Array:
        """Return float32: in the shape of X, or the inputs that its columns become."""
        return only(self.scaler_.transform(X))
