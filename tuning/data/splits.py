"""Which rows go where: parts and stopping rows, by seed, class, group or time.

It works on row numbers and `RowKeys` alone; folds are in `folds.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from tuning.data.arrays import Array
from tuning.data.row_keys import RowKeys
from tuning.errors import StudyError

_DRAWS = 32
"""Orders of the groups that are tried: the one whose cut is nearest to the sizes asked for wins."""


class Cut(NamedTuple):
    """Row numbers of the two sides of a cut.

    Attributes:
        staying, taken: The two sides.
        dropped: What stands on neither: a row whose group or moment is on the taken side too.
    """

    staying: Array
    taken: Array
    dropped: Array


class PartRows(NamedTuple):
    """The row numbers of each part of a data set, and what stands in none."""

    train: Array
    validation: Array
    test: Array
    dropped: Array

    @property
    def notices(self) -> tuple[str, ...]:
        """What the reader should know: how many rows stand in no part."""
        n_dropped = len(self.dropped)
        if not n_dropped:
            return ()
        rows = "row stands" if n_dropped == 1 else "rows stand"
        return (f"{n_dropped} {rows} in no part: their group or time is on both sides",)


def part_rows(
    keys: RowKeys,
    fixed: Mapping[str, Array],
    *,
    seed: int,
    test_size: float,
    validation_size: float,
) -> PartRows:
    """Return the rows of the three parts.

    Args:
        keys: Of all rows.
        fixed: Row numbers of parts that the data set fixes; what it does not name is taken off the
            training rows.
        seed: Of what is drawn.
        test_size: A share of the rows, or rows.
        validation_size: A share of the rows that remain, or rows.

    Raises:
        StudyError: They cannot be cut so, or a fixed part shares a group or a moment with another.
        ValueError: scikit-learn's, of too few rows or members of a class.
    """
    rest = fixed.get("train", np.arange(len(keys)))
    dropped = []

    # The test part first: the validation part's share is of what remains.
    test = fixed.get("test")
    if test is None:
        rest, test, lost = _cut_off("test", keys, rest, test_size, seed)
        dropped.append(lost)

    validation = fixed.get("validation")
    if validation is None:
        rest, validation, lost = _cut_off("validation", keys, rest, validation_size, seed)
        dropped.append(lost)

    rows = PartRows(rest, validation, test, np.concatenate([np.arange(0), *dropped]))
    faults = list(_meeting_faults(keys, rows))
    if faults:
        raise StudyError(faults)
    return rows


def cut(keys: RowKeys, size: float, seed: int) -> Cut:
    """Cut rows in two; numbers count within `keys`.

    Args:
        keys: Of the rows to cut.
        size: Of the side taken: a share, or rows. Whole groups and equal moments make it the
            nearest that is possible.
        seed: Of what is drawn; a cut by time draws nothing.

    Raises:
        ValueError: A side would be empty; scikit-learn's of a class too small.
    """
    if keys.kind == "time":
        return _cut_by_time(keys, size)
    if keys.kind == "group":
        return _cut_by_group(keys, size, seed)

    from sklearn.model_selection import train_test_split

    staying, taken = train_test_split(
        np.arange(len(keys)), test_size=size, random_state=seed, stratify=keys.strata
    )
    return Cut(staying, taken, np.arange(0))


def stopping_cut(keys: RowKeys, *, seed: int, share: float = 0.1) -> Cut:
    """Return (rows to fit, rows to stop by) of training rows: early stopping needs its own.

    By class where every class has two members and the stopping rows can hold one of each, by group
    and by time as the study's split; else plainly shuffled.

    Raises:
        StudyError: Fewer than two rows, groups or moments.
    """
    if len(keys) < 2:
        raise StudyError(f"{len(keys)} rows cannot be split into rows to fit and rows to stop by")

    if keys.kind == "stratified" and not _can_stratify(keys, share):
        keys = plainly_shuffled(keys)
    try:
        return cut(keys, share, seed)
    except ValueError as error:
        raise StudyError(
            f"{len(keys)} rows cannot be split into rows to fit and rows to stop by: {error}"
        ) from error


def plainly_shuffled(keys: RowKeys) -> RowKeys:
    """Return the keys of the same rows without their classes."""
    return RowKeys(numbers=keys.numbers, n_all=keys.n_all, kind="random")


def first_moment(spans: Array) -> np.generic:
    """Return when the earliest of some rows begins."""
    moment: np.generic = spans[:, 0].min()
    return moment


def _cut_off(name: str, keys: RowKeys, rest: Array, size: float, seed: int) -> Cut:
    """Return the rows of `rest` that stay, those that are taken, and those on neither side."""
    try:
        rows = cut(keys.take(rest), size, seed)
    except ValueError as error:
        raise ValueError(f"{name} part: {error}") from error
    return Cut(rest[rows.staying], rest[rows.taken], rest[rows.dropped])


def _n_taken(size: float, n_rows: int) -> int:
    """Return the rows that a size asks for, rounded as scikit-learn rounds shares."""
    n_taken = size if isinstance(size, int) else int(np.ceil(size * n_rows))
    if not 0 < n_taken < n_rows:
        raise ValueError(f"{n_taken} of {n_rows} rows would leave the other side without any")
    return n_taken


def _cut_by_time(keys: RowKeys, size: float) -> Cut:
    """Take the last rows; rows that begin at the same moment stay together."""
    spans = keys.spans
    assert spans is not None  # noqa: S101 - `kind_faults` has looked
    n_taken = _n_taken(size, len(keys))

    moments, counts = np.unique(spans[:, 0], return_counts=True)
    if len(moments) < 2:
        raise ValueError("all rows have the same time")
    # How many rows begin at each moment or later; the first moment would take them all.
    n_from = counts[::-1].cumsum()[::-1][1:]
    border = moments[1:][np.abs(n_from - n_taken).argmin()]

    is_taken = spans[:, 0] >= border
    # A span that reaches the border would show the earlier side what the later one is scored on.
    is_staying = spans[:, 1] < border
    if keys.groups is not None:
        is_staying &= ~np.isin(keys.groups, np.unique(keys.groups[is_taken]))
    if not is_staying.any():
        what = "span" if keys.groups is None else "group or span"
        raise ValueError(f"every row has a {what} that reaches across the border at {border}")

    # In the order of time: whoever looks at the rows sees the last ones last.
    order = keys.order
    is_dropped = ~is_taken & ~is_staying
    return Cut(order[is_staying[order]], order[is_taken[order]], order[is_dropped[order]])


def _cut_by_group(keys: RowKeys, size: float, seed: int) -> Cut:
    """Take whole groups, so many that rows, and of each class its members, are about the share.

    Of several random orders of the groups the one is taken whose best cut is nearest.
    """
    groups = keys.groups
    assert groups is not None  # noqa: S101 - `kind_faults` has looked
    share = _n_taken(size, len(keys)) / len(keys)
    names, group_of_row = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError("all rows are of one group")

    classes = np.zeros(len(keys), int)
    if keys.strata is not None:
        _, classes = np.unique(keys.strata, return_inverse=True)
    members = np.zeros((len(names), classes.max() + 1))
    np.add.at(members, (group_of_row, classes), 1)
    # In shares of each class, so that a rare one counts as much as a frequent one.
    shares = members / members.sum(axis=0)

    random = np.random.default_rng(seed)
    nearest = np.inf
    taken_groups = np.arange(0)
    for _ in range(_DRAWS):
        order = random.permutation(len(names))
        taken_share = shares[order].cumsum(axis=0)[:-1]  # never all groups
        distance = ((taken_share - share) ** 2).sum(axis=1)
        n_groups = int(distance.argmin())
        if distance[n_groups] < nearest:
            nearest = distance[n_groups]
            taken_groups = order[: n_groups + 1]

    is_taken = np.isin(group_of_row, taken_groups)
    # Shuffled, as every other cut by seed: folds are blocks of rows.
    rows = random.permutation(len(keys))
    return Cut(rows[~is_taken[rows]], rows[is_taken[rows]], np.arange(0))


def _can_stratify(keys: RowKeys, share: float) -> bool:
    assert keys.classes is not None  # noqa: S101 - `kind_faults` has looked
    _, counts = np.unique(keys.classes, return_counts=True)
    n_taken = int(np.ceil(share * len(keys)))  # rounded as `train_test_split` does
    smaller_side = min(n_taken, len(keys) - n_taken)
    return bool(counts.min() >= 2 and smaller_side >= len(counts))


def _meeting_faults(keys: RowKeys, rows: PartRows) -> Iterator[str]:
    """Yield which groups and moments two parts share; only parts that are fixed can."""
    in_order = {"train": rows.train, "validation": rows.validation, "test": rows.test}

    for (name, earlier), (later_name, later) in itertools.combinations(in_order.items(), 2):
        if not len(earlier) or not len(later):
            continue
        groups = keys.whole_groups
        if groups is not None:
            shared = np.intersect1d(groups[earlier], groups[later])
            if len(shared):
                listed = ", ".join(repr(group) for group in shared[:3].tolist())
                yield (
                    f"parts: '{name}' and '{later_name}' share {len(shared)} groups ({listed}); "
                    "put each group into one part, or say split='random'"
                )
        spans = keys.ordered_spans
        if spans is not None and spans[earlier][:, 1].max() >= first_moment(spans[later]):
            row = earlier[spans[earlier][:, 1].argmax()]
            yield (
                f"parts: '{name}' has row {row} of {spans[row, 1]}, '{later_name}' begins at "
                f"{first_moment(spans[later])}; put later rows into later parts, or say "
                "split='random'"
            )
