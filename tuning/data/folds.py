"""Folds: what `cv` cuts the training and validation rows into, by number or by a splitter."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from tuning.data.arrays import Array
from tuning.data.row_keys import RowKeys
from tuning.data.splits import first_moment
from tuning.errors import StudyError, first_line


@runtime_checkable
class Splitter(Protocol):
    """One of scikit-learn's, or any other of their shape."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Array, Array]]:
        """Yield (training rows, scoring rows) of each fold."""

    def __hash__(self) -> int:
        """Return a hash: what was cut is kept by its splitter."""

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return how many folds there are."""


Cv: TypeAlias = "int | Splitter"
"""A number of folds, or what cuts them."""


class FoldNumbers(NamedTuple):
    """Of one fold the rows to train on and those to score on, as numbers within the keys."""

    training: Array
    scoring: Array


def folds(keys: RowKeys, cv: Cv) -> list[FoldNumbers]:
    """Return the rows of each fold.

    A number makes the folds of scikit-learn's `check_cv(k, y, classifier=…)`: not shuffled, by
    class for binary and multiclass, in blocks for the others; with groups those of `GroupKFold` or
    `StratifiedGroupKFold`, by time those of `TimeSeriesSplit`. A splitter sees the rows by time
    where the study splits by time, else as they come.

    By time a training row that reaches into the scoring rows, or is of one of their groups, is left
    out.

    Args:
        keys: Of the rows to cut.
        cv: A number of folds, or a splitter.

    Raises:
        StudyError: They cannot be cut so; a class, a group or a moment stands where it must not.
    """
    where = f"cv={cv_text(cv)}"
    faults = list(_fold_faults(keys, cv))
    if faults:
        raise StudyError(faults, where=where)

    splitter = _splitter(keys, cv)
    try:
        cut = _split(keys, splitter)
        again = cut if isinstance(cv, int) else _split(keys, splitter)
    except (ValueError, TypeError) as error:
        advice = ""
        if keys.groups is None and "groups" in str(error):
            advice = "; give the rows' groups: Dataset(groups=…)"
        raise StudyError(f"{first_line(error)}{advice}", where=where) from error
    if not _are_equal(cut, again):
        raise StudyError(
            "it cuts other folds at each call; give it a random_state, a whole number", where=where
        )

    kept_apart = [_apart(keys, fold) for fold in cut]
    faults = list(_side_faults(keys, kept_apart, by_class=isinstance(cv, int)))
    if faults:
        raise StudyError(faults, where=where)
    return kept_apart


def n_splits(cv: Cv | None) -> int:
    """Return the fits of a trial as far as can be told without rows; 1 without `cv`.

    Some splitters, as `LeaveOneGroupOut`, cut as many folds as there are groups: they count as one.
    """
    if cv is None or isinstance(cv, int):
        return cv or 1
    try:
        return cv.get_n_splits()
    except (ValueError, TypeError):
        return 1


def cv_text(cv: Cv) -> str:
    """Return a text of `cv` that is the same in every process, and another for another splitter."""
    if isinstance(cv, int):
        return str(cv)

    text = _without_addresses(repr(cv))
    state = vars(cv) if hasattr(cv, "__dict__") else {}
    # Of an array only the ends are shown; the repr of a class without one of its own says nothing.
    if not _holds_array(state) and "object at 0x" not in repr(cv):
        return text
    sha = hashlib.sha256()
    _feed(sha, state)
    return f"{text} {sha.hexdigest()[:16]}"


def _holds_array(value: Any) -> bool:
    """Whether a value is an array or a column of pandas', or holds one at any depth."""
    if isinstance(value, Mapping):
        return any(map(_holds_array, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_array, value))
    return isinstance(value, np.ndarray) or hasattr(value, "to_numpy")


def _feed(sha: Any, value: Any) -> None:
    """Feed all of a value into a `hashlib` object, each number of an array."""
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if isinstance(value, Mapping):
        value = [[str(name), value[name]] for name in sorted(value, key=str)]
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        value = value.tolist()

    if isinstance(value, np.ndarray):
        sha.update(f"{value.dtype.str}{value.shape}".encode())
        sha.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, list | tuple):
        sha.update(f"{len(value)} items".encode())
        for item in value:
            _feed(sha, item)
    else:
        sha.update(_without_addresses(repr(value)).encode())


def _without_addresses(text: str) -> str:
    """Return a repr on one line, without what differs in every process."""
    return " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", text).split())


def _fold_faults(keys: RowKeys, cv: Cv) -> Iterator[str]:
    """Yield what can be said before anything is cut."""
    from sklearn.model_selection import PredefinedSplit, TimeSeriesSplit

    if isinstance(cv, int):
        yield from _number_faults(keys, cv)
    elif isinstance(cv, PredefinedSplit) and len(cv.test_fold) != keys.n_all:
        yield (
            f"it names the fold of {len(cv.test_fold)} rows, the data set has {keys.n_all}; name "
            "one for each row of the data set, -1 for those that no fold scores"
        )
    elif isinstance(cv, TimeSeriesSplit) and keys.kind != "time" and _is_shuffled(keys):
        yield (
            "it needs rows in the order of time, and these are shuffled; give the rows' time: "
            "Dataset(time=…), numpy.arange(rows) where they are in order"
        )


def _number_faults(keys: RowKeys, k: int) -> Iterator[str]:
    if k < 2:
        yield "cross-validation needs at least 2 folds"
    if len(keys) < k:
        yield f"{len(keys)} rows cannot make {k} folds"
        return

    if keys.kind == "group" and keys.groups is not None:
        n_groups = len(np.unique(keys.groups))
        if n_groups < k:
            yield f"{n_groups} groups cannot make {k} folds; use a smaller cv"
    if keys.strata is not None:
        # scikit-learn only warns of such a class, and leaves it out of some folds.
        numbers, counts = np.unique(keys.strata.astype(int), return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            if count < k:
                yield (
                    f"class {number} has {count} members, fewer than the {k} folds; "
                    "use a smaller cv"
                )


def _is_shuffled(keys: RowKeys) -> bool:
    return bool((np.diff(keys.numbers) < 0).any())


def _splitter(keys: RowKeys, cv: Cv) -> Splitter:
    """Return what cuts the rows of `keys`."""
    from sklearn import model_selection as of

    splitter: Splitter
    if isinstance(cv, of.PredefinedSplit):
        splitter = of.PredefinedSplit(cv.test_fold[keys.numbers[keys.order]])
    elif not isinstance(cv, int):
        splitter = cv
    elif keys.kind == "time":
        splitter = of.TimeSeriesSplit(cv)
    elif keys.kind == "group":
        splitter = of.GroupKFold(cv) if keys.strata is None else of.StratifiedGroupKFold(cv)
    else:
        splitter = of.KFold(cv) if keys.strata is None else of.StratifiedKFold(cv)
    return splitter


def _split(keys: RowKeys, splitter: Splitter) -> list[FoldNumbers]:
    """Return the folds that a splitter makes of rows in their order."""
    order = keys.order
    ordered = keys.take(order)
    y = np.zeros(len(keys)) if ordered.classes is None else ordered.classes
    with warnings.catch_warnings():
        # Whether its folds keep groups whole is looked at where that is asked for.
        warnings.filterwarnings("ignore", message="The groups parameter is ignored")
        # Splitters look at the number of rows, at y and at the groups alone.
        cut = list(splitter.split(np.zeros(len(keys)), y, ordered.groups))
    return [FoldNumbers(order[training], order[scoring]) for training, scoring in cut]


def _are_equal(cut: list[FoldNumbers], again: list[FoldNumbers]) -> bool:
    if len(cut) != len(again):
        return False
    pairs = zip(cut, again, strict=True)
    return all(
        np.array_equal(one.training, two.training) and np.array_equal(one.scoring, two.scoring)
        for one, two in pairs
    )


def _apart(keys: RowKeys, fold: FoldNumbers) -> FoldNumbers:
    """Return a fold by time without the training rows that share a moment or a group."""
    spans = keys.ordered_spans
    if spans is None or not len(fold.scoring):
        return fold

    begin = first_moment(spans[fold.scoring])
    first, last = spans[fold.training].T
    # One that begins later is no overlap: that splitter does not cut by time, and is refused.
    meets = (last >= begin) & (first <= begin)
    if keys.groups is not None:
        meets |= np.isin(keys.groups[fold.training], keys.groups[fold.scoring])
    return FoldNumbers(fold.training[~meets], fold.scoring)


def _side_faults(keys: RowKeys, cut: list[FoldNumbers], *, by_class: bool) -> Iterator[str]:
    """Yield what stands on the wrong side of a fold, of each kind the first."""
    if not cut:
        yield "it makes no folds"
    for number, fold in enumerate(cut):
        found = list(_faults_of_fold(keys, fold))
        if found:
            yield f"fold {number}: {found[0]}"
            return
        # Cut by class, every fold has members of each.
        if by_class and keys.kind in ("random", "stratified"):
            continue
        fault = _class_fault(keys, fold)
        if fault:
            yield f"fold {number}: {fault}"
            return


def _faults_of_fold(keys: RowKeys, fold: FoldNumbers) -> Iterator[str]:
    if not len(fold.training) or not len(fold.scoring):
        side = "train on" if not len(fold.training) else "score"
        yield f"there are no rows to {side}"
        return

    groups = keys.whole_groups
    if groups is not None:
        shared = np.intersect1d(groups[fold.training], groups[fold.scoring])
        if len(shared):
            yield (
                f"it trains on and scores group {shared[:1].tolist()[0]!r}; use GroupKFold or "
                "StratifiedGroupKFold, or say split='random'"
            )
    spans = keys.ordered_spans
    if spans is not None and spans[fold.training][:, 1].max() >= first_moment(spans[fold.scoring]):
        yield (
            "it trains on later rows than it scores; use TimeSeriesSplit(gap=…), or say "
            "split='random'"
        )


def _class_fault(keys: RowKeys, fold: FoldNumbers) -> str:
    """Say which class no training row has: a model cannot learn it."""
    if keys.classes is None:
        return ""
    absent = np.setdiff1d(keys.classes, keys.classes[fold.training])
    if not len(absent):
        return ""
    return f"no training row is of class {int(absent[0])}; use fewer folds, or cut by class"
