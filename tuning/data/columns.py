"""`TableScaler`: the columns of a user's table as a model's inputs, by figures of the training rows
alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tuning.data.dataset import Array, Column


@dataclass(frozen=True, eq=False)
class TableScaler:
    """Fills empty cells, standardises numbers, encodes categories one-hot.

    The figures are those of scikit-learn's `SimpleImputer`, `StandardScaler` and `OneHotEncoder`;
    plain numbers, so that they can be kept as JSON beside a model and nothing is ever unpickled.

    Attributes:
        columns: What they are, in the order of X.
        fill: float64 `(columns,)`: the median, or the number of the most frequent category.
        mean, deviation: float64 `(columns,)`, after filling; 0 and 1 for categories.
        seen: One a column: the category numbers that were met. Any other becomes zeros, as
            `handle_unknown="ignore"`.
    """

    columns: tuple[Column, ...]
    fill: Array
    mean: Array
    deviation: Array
    seen: tuple[tuple[int, ...], ...]

    def transform(self, X: Array) -> NDArray[np.float32]:
        """Return float32 `(rows, inputs)` of `X`, float64 `(rows, columns)` as a `Dataset` holds
        it.
        """
        filled = np.where(np.isnan(X), self.fill, X)
        return np.concatenate(
            [self._inputs(i, filled[:, i]) for i in range(len(self.columns))], 1
        ).astype(np.float32)

    def _inputs(self, i: int, values: Array) -> Array:
        column = self.columns[i]
        if not column.categories:
            return np.asarray((values - self.mean[i]) / self.deviation[i])[:, None]
        numbers = np.arange(len(column.categories))
        return np.asarray((values[:, None] == numbers) & np.isin(numbers, self.seen[i]))

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON types."""
        figures = zip(self.columns, self.fill, self.mean, self.deviation, self.seen, strict=True)
        return {
            "columns": [
                {
                    "name": c.name,
                    "categories": list(c.categories),
                    "fill": float(f),
                    "seen": list(s),
                }
                if c.categories
                else {"name": c.name, "fill": float(f), "mean": float(m), "deviation": float(d)}
                for c, f, m, d, s in figures
            ]
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return what `to_json` was called on."""
        items = stored["columns"]
        columns = tuple(Column(c["name"], tuple(c.get("categories", ()))) for c in items)
        fill, mean, deviation = (
            np.array([c.get(name, other) for c in items], float)
            for name, other in (("fill", 0.0), ("mean", 0.0), ("deviation", 1.0))
        )
        return cls(columns, fill, mean, deviation, tuple(tuple(c.get("seen", ())) for c in items))


def table_scaler(train_X: Array, columns: tuple[Column, ...]) -> TableScaler:
    """Return the scaler fitted on `train_X`, float64 `(rows, columns)` with NaN for empty cells."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    fill, mean, deviation = np.zeros(len(columns)), np.zeros(len(columns)), np.ones(len(columns))
    seen: list[tuple[int, ...]] = []
    for i, column in enumerate(columns):
        strategy = "most_frequent" if column.categories else "median"
        imputer = SimpleImputer(
            strategy=strategy, keep_empty_features=True
        )  # a fold may have nothing but empty cells
        filled = imputer.fit_transform(train_X[:, [i]].astype(np.float64))
        fill[i] = imputer.statistics_[0]
        if column.categories:
            seen.append(tuple(np.unique(filled).astype(int).tolist()))
        else:
            standard = StandardScaler().fit(filled)
            mean[i], deviation[i] = standard.mean_[0], standard.scale_[0]
            seen.append(())
    return TableScaler(columns, fill, mean, deviation, tuple(seen))
