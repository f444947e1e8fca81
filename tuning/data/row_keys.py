"""`RowKeys`: what a split may look at of each row, and which kind of split it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from tuning.data.arrays import Array

SplitKind: TypeAlias = Literal["random", "stratified", "time", "group"]
SPLIT_KINDS: tuple[SplitKind, ...] = ("random", "stratified", "time", "group")


@dataclass(frozen=True, eq=False, kw_only=True)
class RowKeys:
    """Of some rows of a data set what decides on which side of a split they stand.

    Attributes:
        numbers: `(rows,)`, their numbers in the data set.
        n_all: Rows of the data set.
        kind: How it is split.
        classes: `(rows,)` class numbers; None: there are none.
        groups: `(rows,)`; None: there are none.
        spans: `(rows, 2)`, first and last moment of each row; None: there are none.
    """

    numbers: Array
    n_all: int
    kind: SplitKind
    classes: Array | None = None
    groups: Array | None = None
    spans: Array | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: Array) -> RowKeys:
        """Return the keys of these rows, in this order; `rows` count within these keys."""
        return replace(
            self,
            numbers=self.numbers[rows],
            classes=None if self.classes is None else self.classes[rows],
            groups=None if self.groups is None else self.groups[rows],
            spans=None if self.spans is None else self.spans[rows],
        )

    @property
    def whole_groups(self) -> Array | None:
        """The groups that must stay on one side; None where the split looks at none."""
        return self.groups if self.kind in ("group", "time") else None

    @property
    def ordered_spans(self) -> Array | None:
        """The moments that must stay in order; None where the split looks at none."""
        return self.spans if self.kind == "time" else None

    @property
    def strata(self) -> Array | None:
        """The classes whose shares are to be kept; None where the split looks at none."""
        return self.classes if self.kind in ("stratified", "group") else None

    @property
    def order(self) -> Array:
        """Row numbers within these keys as folds are to see them: by time, else as they are."""
        spans = self.ordered_spans
        if spans is None:
            return np.arange(len(self))
        return np.lexsort((spans[:, 1], spans[:, 0]))


def row_keys(
    n_rows: int,
    *,
    kind: SplitKind | None = None,
    classes: Array | None = None,
    groups: Array | None = None,
    time: Array | None = None,
) -> RowKeys:
    """Return the keys of all rows of a data set.

    Args:
        n_rows: How many there are.
        kind: What the study asks for; None: by time where the rows have one, else by group, else by
            class, else at random.
        classes, groups: `(rows,)`, or None.
        time: `(rows,)`, or `(rows, 2)` with the first and last moment of each row, or None.
    """
    spans = None
    if time is not None:
        spans = np.column_stack([time, time]) if time.ndim == 1 else time

    if kind is None:
        if spans is not None:
            kind = "time"
        elif groups is not None:
            kind = "group"
        else:
            kind = "random" if classes is None else "stratified"
    return RowKeys(
        numbers=np.arange(n_rows),
        n_all=n_rows,
        kind=kind,
        classes=classes,
        groups=groups,
        spans=spans,
    )


def key_faults(n_rows: int, groups: Array | None, time: Array | None) -> Iterator[str]:
    """Yield what is wrong with the groups and the time of a data set's rows."""
    if groups is not None:
        if not isinstance(groups, np.ndarray) or groups.shape != (n_rows,):
            yield f"groups must be an array of one value a row, ({n_rows},), got {_shape(groups)}"
        else:
            yield from _group_faults(groups)

    if time is not None:
        shapes = ((n_rows,), (n_rows, 2))
        if not isinstance(time, np.ndarray) or time.shape not in shapes:
            yield (
                f"time must be an array of one moment a row, ({n_rows},), or of its first and "
                f"last, ({n_rows}, 2), got {_shape(time)}"
            )
        else:
            yield from _time_faults(time)


def _group_faults(groups: Array) -> Iterator[str]:
    if groups.dtype.kind == "f" and not np.isfinite(groups).all():
        row = np.flatnonzero(~np.isfinite(groups))[0]
        yield f"groups: row {row} has none; give every row a number or a text"
    elif groups.dtype.kind == "O":
        # What cannot be sorted together cannot be counted by group either.
        kinds = sorted({type(group).__name__ for group in groups.tolist()})
        if len(kinds) > 1:
            yield (
                f"groups are of several types ({', '.join(kinds)}); "
                "give numbers alone or texts alone, e.g. groups.astype(str)"
            )
        elif kinds:
            yield f"groups must be numbers or texts, got objects of type {kinds[0]}"


def _time_faults(time: Array) -> Iterator[str]:
    if time.dtype.kind not in "iufM":
        yield (
            f"time must hold numbers or datetime64, got dtype {time.dtype}; "
            "convert texts with pandas.to_datetime(…).to_numpy()"
        )
        return

    missing = np.isnat(time) if time.dtype.kind == "M" else ~np.isfinite(time)
    if missing.any():
        row = np.argwhere(missing)[0][0]
        yield f"time: row {row} has none ({int(missing.sum())} in all); fill or drop these rows"
    elif time.ndim == 2 and (time[:, 0] > time[:, 1]).any():
        row = np.flatnonzero(time[:, 0] > time[:, 1])[0]
        yield f"time: row {row} ends before it begins; give (first, last)"


def kind_faults(keys: RowKeys) -> Iterator[str]:
    """Yield why these rows cannot be split as the study asks."""
    if keys.kind == "group" and keys.groups is None:
        yield "split='group' needs the rows' groups: Dataset(groups=…), one value a row"
    elif keys.kind == "time" and keys.spans is None:
        yield "split='time' needs the rows' time: Dataset(time=…), one moment a row"
    elif keys.kind == "stratified" and keys.classes is None:
        yield "split='stratified' needs classes; these targets have none: use split='random'"


def kind_notices(keys: RowKeys) -> Iterator[str]:
    """Yield what the reader should know of how rows with groups or time are split."""
    if keys.kind == "time" and keys.groups is not None:
        yield (
            "split by time, in whole groups: a group that the later side has is left out of the "
            "earlier one"
        )
    elif keys.kind == "time":
        yield "split by time: the test set is the last, the validation set the last before it"
    elif keys.kind == "group":
        yield "split by group: all rows of a group stand on one side"
        if keys.spans is not None:
            yield "split='group': rows may be later than those that they help to predict"
    else:
        looked_past = [
            name for name, key in (("groups", keys.groups), ("time", keys.spans)) if key is not None
        ]
        if looked_past:
            yield f"split='{keys.kind}' does not look at the rows' {' or '.join(looked_past)}"


def _shape(value: object) -> str:
    if isinstance(value, np.ndarray):
        return str(value.shape)
    return f"a {type(value).__name__}"
