"""The study's preparation of inputs as a scikit-learn transformer, fitted inside each fold."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator, TransformerMixin

from tuning.builders.inputs import preparation
from tuning.builders.inputs.first_layers import first_layers_of
from tuning.data.arrays import only
from tuning.data.columns import table_scaler
from tuning.data.dataset import Array, Column
from tuning.data.parts import Scale


class FoldScaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Prepares inputs of any shape with the very arithmetic of the other engines' folds.

    Attributes:
        columns: Of a user's table, see `Dataset.columns`.
        scale: See `Dataset.scale`.
    """

    def __init__(self, columns: tuple[Column, ...] = (), scale: Scale = True) -> None:
        self.columns = columns
        self.scale = scale

    def fit(self, X: Array, y: Any = None) -> Self:
        """Take the figures of each input, `(rows, *input_shape)`."""
        return self._fit(X, "")

    def fit_for(self, model: Any, X: Array) -> None:
        """Fit anew where this model wants its input prepared in another way."""
        first_layer = first_layers_of(model, [""])[""]
        if preparation.decide_one(X, self.scale, first_layer) != self.how_:
            self._fit(X, first_layer)

    def _fit(self, X: Array, first_layer: preparation.FirstLayer) -> Self:
        self.how_ = preparation.decide_one(X, self.scale, first_layer)
        if self.columns:
            self.scaler_: Any = table_scaler(X, self.columns)
        else:
            self.scaler_ = preparation.fitted_one(self.how_, X)
        return self

    def transform(self, X: Array) -> Array:
        """Return float32: in the shape of X, or the inputs that its columns become."""
        return only(self.scaler_.transform(X))
