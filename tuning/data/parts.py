"""Training, validation and test part of a data set; scaling, folds, inner splits, all by seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tuning.data.columns import table_scaler
from tuning.data.dataset import Array, Column, Dataset, Task, input_shape_of
from tuning.data.faults import class_name, dataset_faults, training_faults
from tuning.errors import StudyError

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a data set, ready for Keras.

    Attributes:
        X: `(rows, *input_shape)`, float32. Parts that wait for `scaled()` have the data set's own
            type: a large number that varies little (a date in seconds) must be centred before it
            is rounded.
        y: float32 `(rows,)` or `(rows, outputs)`; for multiclass int32 `(rows,)`.
    """

    X: Array
    y: Array

    def __len__(self) -> int:
        return len(self.X)

    def take(self, rows: Array) -> Part:
        """Return these rows, in this order."""
        return Part(self.X[rows], self.y[rows])


class Scaling(Protocol):
    """What inputs are prepared with: a `Scaler`, or the `TableScaler` of a user's table."""

    def transform(self, X: Array, /) -> NDArray[np.float32]:
        """Return `X` as a model takes it, `(rows, *input_shape)`."""


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

    def transform(self, X: Array) -> NDArray[np.float32]:
        """Return `X` centred and divided, in its own shape, as float32; computed in float64."""
        if self.mean is None or self.deviation is None:
            return np.asarray(X, np.float32)
        flat = X.reshape(len(X), -1)
        standardised = (flat - self.mean) / self.deviation
        return standardised.reshape(X.shape).astype(np.float32)


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
    """

    train: Part
    validation: Part
    test: Part
    dataset_name: str
    task: Task
    classes: tuple[str, ...]
    digest: str
    scale: bool
    seed: int
    n_outputs: int
    feature_names: tuple[str, ...] = ()
    unit: str = ""
    scaler: Scaling | None = None
    columns: tuple[Column, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One sample's shape as a model takes it, without the batch axis."""
        return input_shape_of(self.train.X, self.columns)

    @property
    def search_part(self) -> Part:
        """Training and validation rows together, in this order: what `--cv` cuts into folds."""
        return Part(
            np.concatenate([self.train.X, self.validation.X]),
            np.concatenate([self.train.y, self.validation.y]),
        )

    def scaled(self) -> Parts:
        """Return float32 parts, prepared with the training part's figures alone."""
        if self.scaler is not None:
            return self
        scaler = self.fitted(self.train.X)
        return replace(
            self,
            train=Part(scaler.transform(self.train.X), self.train.y),
            validation=Part(scaler.transform(self.validation.X), self.validation.y),
            test=Part(scaler.transform(self.test.X), self.test.y),
            scaler=scaler,
        )

    def fitted(self, train_X: Array) -> Scaling:
        """Return what inputs are prepared with, fitted on these rows.

        Where the data set is not to be scaled, it only casts.
        """
        if self.columns:
            return table_scaler(train_X, self.columns)
        if self.scale:
            return scaler(train_X)
        return Scaler()


def split(
    dataset: Dataset, *, seed: int, test_size: float = 0.25, validation_size: float = 0.25
) -> Parts:
    """Cut a data set in three.

    By scikit-learn's `train_test_split(random_state=seed)`, twice, stratified by class.

    Args:
        dataset: Its own `parts` win; where it names no validation or test rows, they are taken off
            its training rows.
        seed: From 0 to 2³² − 1; with 42 and the default sizes it is the course's own split of
            California housing.
        test_size: Share of the rows, between 0 and 1.
        validation_size: Share of the rows that remain, between 0 and 1.

    Raises:
        StudyError: Every fault of the data set, or a class too small for the split or without
            training rows.
    """
    where = f"data '{dataset.name}'"
    faults = list(dataset_faults(dataset))
    if faults:
        raise StudyError(faults, where=where)

    try:
        rows = _rows(dataset, seed, test_size, validation_size)
    except ValueError as error:  # scikit-learn's: too few rows or members for these shares
        raise StudyError(
            f"cannot split {len(dataset.X)} rows in three: {error}", where=where
        ) from error
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
    )


class _SplitRows(NamedTuple):
    """The row numbers of each part."""

    train: Rows
    validation: Rows
    test: Rows


def _rows(dataset: Dataset, seed: int, test_size: float, validation_size: float) -> _SplitRows:
    fixed = {name: np.asarray(rows, np.intp) for name, rows in dataset.parts.items()}
    rest = fixed.get("train", np.arange(len(dataset.X)))

    # The test part first: the validation part's share is of what remains.
    test = fixed.get("test")
    if test is None:
        rest, test = _cut(rest, _strata(dataset, rest), test_size, seed)

    validation = fixed.get("validation")
    if validation is None:
        rest, validation = _cut(rest, _strata(dataset, rest), validation_size, seed)
    return _SplitRows(rest, validation, test)


def _strata(dataset: Dataset, rows: Rows) -> Array | None:
    return dataset.y[rows] if _has_classes(dataset.task) else None


def _cut(rows: Rows, classes: Array | None, share: float, seed: int) -> tuple[Rows, Rows]:
    """Return (the rows that stay, the share of them that is taken)."""
    from sklearn.model_selection import train_test_split

    staying, taken = train_test_split(rows, test_size=share, random_state=seed, stratify=classes)
    return staying, taken


def _part(dataset: Dataset, rows: Rows) -> Part:
    X = dataset.X[rows]
    # Keras' sparse losses take class numbers as whole numbers, all others take floats.
    y = dataset.y[rows].astype(np.int32 if dataset.task == "multiclass" else np.float32)
    # What is to be scaled is rounded to float32 only then, see `Part`.
    return Part(X if dataset.scale else X.astype(np.float32), y)


def scaler(train_X: Array) -> Scaler:
    """Return scikit-learn's `StandardScaler` fitted on `train_X`, `(rows, *input_shape)`."""
    from sklearn.preprocessing import StandardScaler

    fitted = StandardScaler().fit(train_X.reshape(len(train_X), -1).astype(np.float64))
    return Scaler(fitted.mean_, fitted.scale_)


def folds(y: Array, k: int, task: Task) -> list[tuple[Rows, Rows]]:
    """Return (training rows, scoring rows) of each of `k` folds.

    They are those of scikit-learn's `check_cv(k, y, classifier=…)`: not shuffled, by class for
    binary and multiclass, in blocks for the others.

    Raises:
        StudyError: A class has fewer members than there are folds, or there are fewer rows.
    """
    from sklearn.model_selection import check_cv

    faults = list(_fold_faults(y, k, task))
    if faults:
        raise StudyError(faults, where=f"cv={k}")
    splitter = check_cv(k, y, classifier=_has_classes(task))
    # Splitters look at the number of rows and at y alone.
    return list(splitter.split(np.zeros(len(y)), y))


def _fold_faults(y: Array, k: int, task: Task) -> Iterator[str]:
    if k < 2:
        yield "cross-validation needs at least 2 folds"
    if len(y) < k:
        yield f"{len(y)} rows cannot make {k} folds"
    elif _has_classes(task):
        # scikit-learn only warns of such a class, and leaves it out of some folds.
        numbers, counts = np.unique(y.astype(int), return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            if count < k:
                yield (
                    f"class {class_name((), number)} has {count} members, "
                    f"fewer than the {k} folds; use a smaller cv"
                )


def inner_split(y: Array, *, seed: int, share: float = 0.1, task: Task) -> tuple[Rows, Rows]:
    """Return (rows to fit, rows to stop by) of the training rows of a fold.

    So early stopping inside a fold never looks at the scoring rows.

    By class where every class has two members and the stopping rows can hold one of each; else
    plainly shuffled.

    Raises:
        StudyError: Fewer than two rows.
    """
    if len(y) < 2:
        raise StudyError(f"{len(y)} rows cannot be split into rows to fit and rows to stop by")

    classes = y if _has_classes(task) and _can_stratify(y, share) else None
    return _cut(np.arange(len(y)), classes, share, seed)


def _can_stratify(y: Array, share: float) -> bool:
    _, counts = np.unique(y, return_counts=True)
    n_taken = int(np.ceil(share * len(y)))  # rounded as `train_test_split` does
    smaller_side = min(n_taken, len(y) - n_taken)
    return bool(counts.min() >= 2 and smaller_side >= len(counts))


def _has_classes(task: Task) -> bool:
    return task in ("binary", "multiclass")
