"""`cv`: a number or a splitter, what each makes of rows with groups and time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from tuning.data.folds import cv_text, folds
from tuning.data.row_keys import row_keys
from tuning.errors import StudyError

GROUPS = np.arange(60) // 6
CLASSES = np.arange(60) % 2


def same(ours, theirs):
    pairs = list(zip(ours, theirs, strict=True))
    return all(np.array_equal(a, c) and np.array_equal(b, d) for (a, b), (c, d) in pairs)


@pytest.mark.parametrize(
    ("splitter", "kind"),
    [
        (GroupKFold(3), "group"),
        (StratifiedGroupKFold(3), "group"),
        (LeaveOneGroupOut(), "group"),
        (TimeSeriesSplit(4, gap=3), "time"),
        (RepeatedKFold(n_splits=2, n_repeats=3, random_state=0), "random"),
        (ShuffleSplit(4, random_state=1), "random"),
        (StratifiedKFold(3), "stratified"),
        (KFold(3, shuffle=True, random_state=0), "random"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_splitter_cuts_as_it_would_in_scikit_learn(splitter, kind):
    keys = row_keys(60, kind=kind, classes=CLASSES, groups=GROUPS, time=None)
    if kind == "time":
        keys = row_keys(60, time=np.arange(60), classes=CLASSES)
    groups = GROUPS if kind == "group" else None
    expected = list(splitter.split(np.zeros(60), CLASSES, groups))
    assert same(folds(keys, splitter), expected)


def test_a_number_with_groups_is_group_k_fold_by_class_where_there_are_any():
    expected = GroupKFold(4).split(np.zeros(60), groups=GROUPS)
    assert same(folds(row_keys(60, groups=GROUPS), 4), expected)

    keys = row_keys(60, groups=GROUPS, classes=CLASSES)
    expected = StratifiedGroupKFold(4).split(np.zeros(60), CLASSES, GROUPS)
    assert same(folds(keys, 4), expected)


def test_a_number_by_time_trains_on_the_past_alone_whatever_the_order_of_rows():
    moments = np.random.default_rng(0).permutation(60)
    cut = folds(row_keys(60, time=moments), 4)
    expected = TimeSeriesSplit(4).split(np.zeros(60))
    for (training, scoring), (theirs, scored) in zip(cut, expected, strict=True):
        assert moments[training].tolist() == theirs.tolist()
        assert moments[scoring].tolist() == scored.tolist()


def test_a_predefined_fold_belongs_to_a_row_of_the_data_set_wherever_it_stands_now():
    fold_of_row = np.arange(60) % 3
    rows = np.random.default_rng(0).permutation(60)[:40]
    cut = folds(row_keys(60).take(rows), PredefinedSplit(fold_of_row))
    for number, (training, scoring) in enumerate(cut):
        assert set(fold_of_row[rows[scoring]]) == {number}
        assert number not in fold_of_row[rows[training]]


def test_rows_that_no_predefined_fold_scores_are_always_trained_on():
    fold_of_row = np.where(np.arange(60) < 30, -1, 0)
    ((training, scoring),) = folds(row_keys(60), PredefinedSplit(fold_of_row))
    assert (training.tolist(), scoring.tolist()) == (list(range(30)), list(range(30, 60)))


@pytest.mark.parametrize(
    ("keys", "cv", "message"),
    [
        (row_keys(60), GroupKFold(3), "give the rows' groups: Dataset"),
        (row_keys(60, groups=GROUPS), KFold(3), "fold 0: it trains on and scores group 3"),
        (row_keys(60, time=np.arange(60)), KFold(3), "fold 0: it trains on later rows"),
        (row_keys(60), ShuffleSplit(), "it cuts other folds at each call; give it a random_state"),
        (row_keys(60), PredefinedSplit(np.zeros(9)), "it names the fold of 9 rows"),
        (row_keys(60).take(np.arange(60)[::-1]), TimeSeriesSplit(), "needs rows in the order"),
        (row_keys(60, groups=GROUPS), 11, "10 groups cannot make 11 folds"),
        (row_keys(60), KFold(61), "Cannot have number of splits n_splits=61 greater"),
        (
            row_keys(60, time=np.arange(60), classes=np.repeat([0, 1], 30)),
            3,
            "fold 0: no training row is of class 1",
        ),
        (row_keys(60, time=np.arange(60) // 30), 5, "fold 0: there are no rows to train on"),
    ],
    ids=["groups", "group", "time", "draws", "length", "order", "few", "rows", "class", "moments"],
)
def test_what_cannot_be_cut_is_refused_in_words(keys, cv, message):
    with pytest.raises(StudyError) as raised:
        folds(keys, cv)
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"cv={cv_text(cv)}: ")


def test_an_explicit_random_split_is_told_of_no_group():
    keys = row_keys(60, kind="random", groups=GROUPS, time=np.arange(60))
    assert len(folds(keys, KFold(3))) == 3


class Halves:
    """A splitter of a user's own."""

    def __init__(self, border):
        self.border = border

    def split(self, X, y=None, groups=None):
        yield np.arange(self.border), np.arange(self.border, len(X))

    def get_n_splits(self, X=None, y=None, groups=None):
        return 1


def test_the_text_of_a_splitter_is_one_for_equal_ones_and_shows_all_that_differs():
    assert cv_text(5) == "5"
    assert cv_text(TimeSeriesSplit(4)) == (
        "TimeSeriesSplit(gap=0, max_train_size=None, n_splits=4, test_size=None)"
    )
    one, other = np.zeros(5000, int), np.zeros(5000, int)
    other[2500] = 1
    assert cv_text(PredefinedSplit(one)) == cv_text(PredefinedSplit(one.copy()))
    assert cv_text(PredefinedSplit(one)) != cv_text(PredefinedSplit(other))
    assert cv_text(Halves(3)) == cv_text(Halves(3)) != cv_text(Halves(4))
    assert " at 0x" not in cv_text(Halves(3))
    # Arrays within a list are looked into as well, where their repr shows the ends alone.
    assert cv_text(Halves([one])) == cv_text(Halves([one.copy()])) != cv_text(Halves([other]))
    assert cv_text(Halves(pd.Series(one))) != cv_text(Halves(pd.Series(other)))


def test_a_users_own_splitter_needs_two_methods_only():
    ((training, scoring),) = folds(row_keys(60), Halves(40))
    assert (len(training), len(scoring)) == (40, 20)
