"""`TableScaler`: the columns of a user's table as a model's inputs, fitted on training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tuning.data.arrays import Arrays, only
from tuning.data.dataset import Array, Column, Reading


@dataclass(frozen=True, eq=False, kw_only=True)
class TableScaler:
    """Fills empty cells, standardises numbers, encodes categories one-hot.

    The figures are those of scikit-learn's `SimpleImputer`, `StandardScaler` and `OneHotEncoder`;
    plain numbers, so that they can be kept as JSON beside a model and nothing is ever unpickled.

    Attributes:
        columns: What they are, in the order of X.
        fill: float64 `(columns,)`: the median, or the number of the most frequent category.
        mean, deviation: float64 `(columns,)`, after filling; 0 and 1 for categories.
        seen: One a column: the category numbers that training rows have. Any other becomes zeros,
            as with `handle_unknown="ignore"`.
    """

    columns: tuple[Column, ...]
    fill: Array
    mean: Array
    deviation: Array
    seen: tuple[tuple[int, ...], ...]

    def transform(self, X: Arrays) -> NDArray[np.float32]:
        """Return float32 `(rows, inputs)` of X, float64 `(rows, columns)` as in a `Dataset`."""
        X = only(X)
        filled = np.where(np.isnan(X), self.fill, X)
        inputs = [self._inputs(i, filled[:, i]) for i in range(len(self.columns))]
        return np.concatenate(inputs, axis=1).astype(np.float32)

    def _inputs(self, i: int, values: Array) -> Array:
        """Return `(rows, inputs)` of column `i`: one standardised number, or one a category."""
        column = self.columns[i]
        if not column.categories:
            standardised = (values - self.mean[i]) / self.deviation[i]
            return np.asarray(standardised)[:, None]

        numbers = np.arange(len(column.categories))
        one_hot = values[:, None] == numbers
        return np.asarray(one_hot & np.isin(numbers, self.seen[i]))

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON types."""
        return {"columns": [self._column_to_json(i) for i in range(len(self.columns))]}

    def _column_to_json(self, i: int) -> dict[str, Any]:
        column = self.columns[i]
        if column.categories:
            return {
                "name": column.name,
                "categories": list(column.categories),
                "fill": float(self.fill[i]),
                "seen": list(self.seen[i]),
            }
        item: dict[str, Any] = {
            "name": column.name,
            "fill": float(self.fill[i]),
            "mean": float(self.mean[i]),
            "deviation": float(self.deviation[i]),
        }
        if column.reading is not None:
            item["reading"] = asdict(column.reading)
        return item

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return what `to_json` was called on."""
        items = stored["columns"]
        # A column of categories has neither mean nor deviation, one of numbers has nothing seen.
        return cls(
            columns=tuple(map(_column, items)),
            fill=np.array([item["fill"] for item in items], float),
            mean=np.array([item.get("mean", 0.0) for item in items], float),
            deviation=np.array([item.get("deviation", 1.0) for item in items], float),
            seen=tuple(tuple(item.get("seen", ())) for item in items),
        )


def _column(item: Mapping[str, Any]) -> Column:
    """Return a column as it was kept; only one whose cells are no numbers has a reading."""
    stored = item.get("reading")
    reading = None
    if stored is not None:
        reading = Reading(**{**stored, "empty": tuple(stored["empty"])})
    return Column(item["name"], tuple(item.get("categories", ())), reading)


def table_scaler(train_X: Array, columns: tuple[Column, ...]) -> TableScaler:
    """Return the scaler fitted on `train_X`, float64 `(rows, columns)` with NaN for empty cells."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    fill = np.zeros(len(columns))
    mean = np.zeros(len(columns))
    deviation = np.ones(len(columns))
    seen: list[tuple[int, ...]] = []
    for i, column in enumerate(columns):
        imputer = SimpleImputer(
            strategy="most_frequent" if column.categories else "median",
            keep_empty_features=True,  # a fold may have nothing but empty cells
        )
        filled = imputer.fit_transform(train_X[:, [i]].astype(np.float64))
        fill[i] = imputer.statistics_[0]

        if column.categories:
            seen.append(tuple(np.unique(filled).astype(int).tolist()))
        else:
            standard = StandardScaler().fit(filled)
            mean[i] = standard.mean_[0]
            deviation[i] = standard.scale_[0]
            seen.append(())
    return TableScaler(columns=columns, fill=fill, mean=mean, deviation=deviation, seen=tuple(seen))
