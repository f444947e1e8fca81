"""Training, validation and test part of a data set; scaling, folds, inner splits, all by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from tuning.data.arrays import Arrays, count_rows, each, join, named, only, take
from tuning.data.columns import table_scaler
from tuning.data.dataset import (
    Array,
    Column,
    Dataset,
    Shapes,
    Task,
    Tasks,
    input_shape_of,
    output_shape_of,
    task_of,
)
from tuning.data.faults import dataset_faults, training_faults
from tuning.data.folds import Cv, FoldNumbers, folds
from tuning.data.lazy import LazyArray
from tuning.data.row_keys import RowKeys, SplitKind, kind_faults, kind_notices, row_keys
from tuning.data.splits import part_rows, stopping_cut
from tuning.errors import StudyError

Rows = NDArray[np.intp]
LARGEST_WHOLE = 2**24
"""Up to it float32 holds every whole number."""
Scale: TypeAlias = bool | Literal["auto"]
"""Whether inputs are standardised, see `Dataset.scale`."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a data set, ready for Keras.

    Attributes:
        X: `(rows, *input_shape)`, float32. Parts that wait for `scaled()` have the data set's own
            type: a large number that varies little (a date in seconds) must be centred before it
            is rounded. Several inputs by name.
        y: float32 `(rows,)` or `(rows, …)`; for multiclass int32. Several outputs by name.
        weight: What each row counts, `(rows,)`, or each of its answers, `(rows, steps)`; or by
            output; None: 1.
        groups, time: `(rows, …)` as in the data set, for folds and inner splits.
    """

    X: Arrays
    y: Arrays
    weight: Arrays | None = None
    groups: Array | None = None
    time: Array | None = None

    def __len__(self) -> int:
        return count_rows(self.X)

    def take(self, rows: Array) -> Part:
        """Return these rows, in this order."""
        fields: dict[str, Any] = {name: take(arrays, rows) for name, arrays in self._fields()}
        return replace(self, **fields)

    def joined(self, other: Part) -> Part:
        """Return these rows and, under them, those of another part of the same data set."""
        below = dict(other._fields())
        fields: dict[str, Any] = {
            name: join([arrays, below[name]]) for name, arrays in self._fields()
        }
        return replace(self, **fields)

    def _fields(self) -> Iterator[tuple[str, Any]]:
        """Yield name and arrays of each field that is there."""
        for name in ("X", "y", "weight", "groups", "time"):
            arrays = getattr(self, name)
            if arrays is not None:
                yield name, arrays


class Scaling(Protocol):
    """What inputs are prepared with: a `Scaler`, the `TableScaler` of a user's table, …."""

    def transform(self, X: Arrays, /) -> Arrays:
        """Return `X` as a model takes it, `(rows, *input_shape)`; several inputs by name."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """Column means and standard deviations of some rows.

    A constant column has deviation 1 and becomes 0.

    Attributes:
        mean, deviation: float64 `(features,)`, over the flattened input; None: `transform` only
            casts.
    """

    mean: Array | None = None
    deviation: Array | None = None

    def transform(self, X: Arrays) -> Arrays:
        """Return `X` centred and divided, in its own shape, as float32; computed in float64.

        Of several inputs each is only cast: `Several` has a scaler for each of them.
        """
        return each(self._one, X)

    def _one(self, X: Array) -> NDArray[np.float32]:
        if isinstance(X, LazyArray):
            return cast(Array, X.standardised(self.mean, self.deviation))
        if self.mean is None or self.deviation is None:
            return np.asarray(X, np.float32)
        flat = X.reshape(len(X), -1)
        standardised = (flat - self.mean) / self.deviation
        return standardised.reshape(X.shape).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Several:
    """What several inputs are prepared with.

    Attributes:
        by_name: One for each input.
    """

    by_name: Mapping[str, Scaling]

    def transform(self, X: Arrays) -> Arrays:
        """Return each input as the model takes it."""
        return {name: only(self.by_name[name].transform(array)) for name, array in named(X)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """A data set cut in three, with what the other rooms need to know of it.

    Attributes:
        digest: `Dataset.digest` of the whole.
        scale: Whether inputs are to be standardised.
        seed: What the split was drawn with.
        scaler: What `scaled()` has applied; None: not scaled yet.
        input_shape: One sample's shape, without the batch axis.
        n_outputs: Units of the last layer.
        columns: Of a user's table, see `Dataset.columns`.
        keys: Class, group and time of the rows of `search_part`.
        notices: What the reader should know of the split.
        one_hot: Outputs whose y was given as one-hot rows, see `Dataset.one_hot`.
    """

    train: Part
    validation: Part
    test: Part
    dataset_name: str
    task: Tasks
    classes: tuple[str, ...]
    digest: str
    scale: Scale
    seed: int
    n_outputs: int | Mapping[str, int]
    feature_names: tuple[str, ...] = ()
    unit: str = ""
    scaler: Scaling | None = None
    columns: tuple[Column, ...] = ()
    keys: RowKeys
    notices: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()

    @property
    def input_shape(self) -> Shapes:
        """One sample's shape as a model takes it, without the batch axis; by name of several."""
        return input_shape_of(self.train.X, self.columns)

    @property
    def output_shape(self) -> Shapes:
        """One row's shape of what the model returns, see `Dataset.output_shape`."""
        units = self.n_outputs
        by_name = {}
        for name, y in named(self.train.y):
            n_classes = units[name] if isinstance(units, Mapping) else units
            by_name[name] = output_shape_of(y, task_of(self.task, name), n_classes)
        return by_name if isinstance(self.train.y, Mapping) else by_name[""]

    @property
    def search_part(self) -> Part:
        """Training and validation rows together, in this order: what `--cv` cuts into folds."""
        return self.train.joined(self.validation)

    @property
    def trains_to_test(self) -> bool:
        """Whether a winner is trained on all rows up to the test part: what is newest counts most.

        So it is by time.
        """
        return self.keys.kind == "time"

    def folds(self, cv: Cv) -> list[FoldNumbers]:
        """Return (training rows, scoring rows) of each fold, as numbers within `search_part`.

        Raises:
            StudyError: The rows cannot be cut so.
        """
        return folds(self.keys, cv)

    def stopping_rows(self, rows: Rows, *, seed: int, share: float = 0.1) -> tuple[Rows, Rows]:
        """Return (rows to fit, rows to stop by) of some rows of `search_part`, numbers within them.

        Raises:
            StudyError: Fewer than two rows, groups or moments.
        """
        cut = stopping_cut(self.keys.take(rows), seed=seed, share=share)
        return cut.staying, cut.taken

    def scaled(self) -> Parts:
        """Return float32 parts, prepared with the training part's figures alone."""
        if self.scaler is not None:
            return self
        scaler = self.fitted(self.train.X)
        return replace(
            self,
            train=replace(self.train, X=scaler.transform(self.train.X)),
            validation=replace(self.validation, X=scaler.transform(self.validation.X)),
            test=replace(self.test, X=scaler.transform(self.test.X)),
            scaler=scaler,
        )

    def fitted(self, train_X: Arrays) -> Scaling:
        """Return what inputs are prepared with, fitted on these rows.

        Where the data set is not to be scaled, it only casts.
        """
        if self.columns:
            return table_scaler(only(train_X), self.columns)
        if not self.scale:
            return Scaler()
        if isinstance(train_X, Mapping):
            return Several({name: scaler(array) for name, array in train_X.items()})
        return scaler(train_X)


def split(
    dataset: Dataset,
    *,
    seed: int,
    kind: SplitKind | None = None,
    test_size: float = 0.25,
    validation_size: float = 0.25,
) -> Parts:
    """Cut a data set in three.

    At random it is scikit-learn's `train_test_split(random_state=seed)`, twice, stratified by class
    where there are any.

    Args:
        dataset: Its own `parts` win; where it names no validation or test rows, they are taken off
            its training rows.
        seed: From 0 to 2³² − 1; with 42 and the default sizes it is the course's own split of
            California housing.
        kind: None: by time where the rows have one, else by group, else by class, else at random.
        test_size: Share of the rows, between 0 and 1, or rows.
        validation_size: Share of the rows that remain, between 0 and 1, or rows.

    Raises:
        StudyError: Every fault of the data set, or a class too small for the split or without
            training rows.
    """
    where = f"data '{dataset.name}'"
    faults = list(dataset_faults(dataset))
    if faults:
        raise StudyError(faults, where=where)
    keys = _keys(dataset, kind)
    faults = list(kind_faults(keys))
    if faults:
        raise StudyError(faults, where=where)

    fixed = {name: np.asarray(numbers, np.intp) for name, numbers in dataset.parts.items()}
    try:
        rows = part_rows(
            keys, fixed, seed=seed, test_size=test_size, validation_size=validation_size
        )
    except ValueError as error:  # scikit-learn's too: too few rows or members for these sizes
        raise StudyError(f"cannot split {len(keys)} rows in three: {error}", where=where) from error
    except StudyError as error:
        raise StudyError(error.faults, where=where) from error
    faults = list(training_faults(dataset, rows.train))
    if faults:
        raise StudyError(faults, where=where)

    return Parts(
        train=_part(dataset, rows.train),
        validation=_part(dataset, rows.validation),
        test=_part(dataset, rows.test),
        dataset_name=dataset.name,
        task=dataset.task,
        classes=dataset.classes,
        digest=dataset.digest,
        scale=dataset.scale,
        seed=seed,
        n_outputs=dataset.n_outputs,
        feature_names=dataset.feature_names,
        unit=dataset.unit,
        columns=dataset.columns,
        keys=keys.take(np.concatenate([rows.train, rows.validation])),
        notices=(*kind_notices(keys), *rows.notices),
        one_hot=dataset.one_hot,
    )


def _keys(dataset: Dataset, kind: SplitKind | None) -> RowKeys:
    return row_keys(
        count_rows(dataset.X),
        kind=kind,
        classes=strata_of(dataset.y, dataset.task),
        groups=dataset.groups,
        time=dataset.time,
    )


def strata_of(y: Arrays, task: Tasks) -> Array | None:
    """Return the class of each row, `(rows,)`, by which rows are split; None: there is none.

    Several outputs have none: a rare combination of classes could not be split.
    """
    if isinstance(y, Mapping) or not _has_classes(task_of(task)) or y.ndim > 1:
        return None
    return y


def _part(dataset: Dataset, rows: Rows) -> Part:
    X = take(dataset.X, rows)
    # What is to be scaled is rounded to float32 only then, see `Part`.
    if not dataset.scale:
        X = each(as_float32, X)
    return Part(
        X,
        _targets(dataset, rows),
        weight=_weights(dataset, rows),
        groups=None if dataset.groups is None else dataset.groups[rows],
        time=None if dataset.time is None else dataset.time[rows],
    )


def _targets(dataset: Dataset, rows: Rows) -> Arrays:
    def cast(array: Array, task: Task) -> Array:
        # Keras' sparse losses take class numbers as whole numbers, all others take floats.
        return array[rows].astype(np.int32 if task == "multiclass" else np.float32)

    if isinstance(dataset.y, Mapping):
        return {name: cast(y, task_of(dataset.task, name)) for name, y in dataset.y.items()}
    return cast(dataset.y, task_of(dataset.task))


def _weights(dataset: Dataset, rows: Rows) -> Arrays | None:
    """Return what rows count, of several outputs for each: 1 where only others have weights."""
    weight = dataset.weight
    if weight is None:
        return None
    if isinstance(weight, Mapping):
        ones = np.ones(count_rows(dataset.y))
        weight = {name: weight.get(name, ones) for name, _ in named(dataset.y)}
    return each(lambda array: array[rows].astype(np.float32), weight)


def as_float32(array: Array) -> Array:
    """Return numbers as float32; what holds none as it is.

    So are whole numbers that float32 cannot tell apart: ids of millions of things.
    """
    if array.dtype.kind not in "biuf" or _has_large_ids(array):
        return array
    return array.astype(np.float32)


def _has_large_ids(array: Array) -> bool:
    if array.dtype.kind not in "iu" or isinstance(array, LazyArray) or not array.size:
        return False
    return max(int(array.max()), -int(array.min())) > LARGEST_WHOLE


def scaler(train_X: Array) -> Scaler:
    """Return scikit-learn's `StandardScaler` fitted on `train_X`, `(rows, *input_shape)`."""
    from sklearn.preprocessing import StandardScaler

    if isinstance(train_X, LazyArray):
        return Scaler(*train_X.figures())
    fitted = StandardScaler().fit(train_X.reshape(len(train_X), -1).astype(np.float64))
    return Scaler(fitted.mean_, fitted.scale_)


def inner_split(y: Arrays, *, seed: int, share: float = 0.1, task: Tasks) -> tuple[Rows, Rows]:
    """Return (rows to fit, rows to stop by) of rows of which no group and no time is known.

    By class where every class has two members and the stopping rows can hold one of each; else
    plainly shuffled.

    Raises:
        StudyError: Fewer than two rows.
    """
    cut = stopping_cut(row_keys(count_rows(y), classes=strata_of(y, task)), seed=seed, share=share)
    return cut.staying, cut.taken


def _has_classes(task: Task) -> bool:
    return task in ("binary", "multiclass")
