"""Parts, folds and stopping rows: no group and no later time on both sides of any of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from tuning.data.folds import folds
from tuning.data.row_keys import key_faults, kind_faults, kind_notices, row_keys
from tuning.data.splits import cut, part_rows, stopping_cut
from tuning.errors import StudyError


def parts_of(keys, seed=0, test_size=0.25, validation_size=0.25, fixed=None):
    sizes = {"test_size": test_size, "validation_size": validation_size}
    return part_rows(keys, fixed or {}, seed=seed, **sizes)


@st.composite
def keyed_rows(draw, *, groups: bool, time: bool, spans: bool = False):
    """Rows with groups and times that repeat, in any order."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(30, 200))
    first = random.integers(0, draw(st.integers(10, 300)), n)
    moments = first
    if spans:
        moments = np.column_stack([first, first + random.integers(0, 5, n)])
    # Groups that last for a while, so that whole groups can stand in the order of time.
    of_group = first // 3 if time else random.integers(0, draw(st.integers(8, 60)), n)
    return row_keys(
        n,
        classes=random.integers(0, 2, n) if draw(st.booleans()) and not time else None,
        groups=np.array([f"group {number}" for number in of_group]) if groups else None,
        time=moments if time else None,
    )


def sides_of(keys, seed):
    """Every pair of sides of every split of some rows: (earlier, later), numbers within `keys`."""
    try:
        rows = parts_of(keys, seed)
    except (ValueError, StudyError):
        assume(False)
    yield from combinations((rows.train, rows.validation, rows.test), 2)

    searched = np.concatenate([rows.train, rows.validation])
    within = keys.take(searched)
    for cut_rows in (searched, rows.train):
        try:
            inner = stopping_cut(keys.take(cut_rows), seed=seed)
        except StudyError:  # a group or moment too few
            continue
        yield cut_rows[inner.staying], cut_rows[inner.taken]

    try:
        cut_folds = folds(within, 3)
    except StudyError:  # a class, a group or a moment too few
        return
    for training, scoring in cut_folds:
        yield searched[training], searched[scoring]
        try:
            inner = stopping_cut(within.take(training), seed=seed)
        except StudyError:
            continue
        fitted, stopping = searched[training][inner.staying], searched[training][inner.taken]
        yield fitted, stopping
        yield stopping, searched[scoring]


@settings(deadline=None, max_examples=25)
@given(keyed_rows(groups=True, time=False), st.integers(0, 1000))
def test_no_group_stands_on_both_sides_of_any_split(keys, seed):
    assert keys.kind == "group"
    for one, other in sides_of(keys, seed):
        assert len(one)
        assert len(other)
        assert not set(keys.groups[one]) & set(keys.groups[other])


@settings(deadline=None, max_examples=25)
@given(keyed_rows(groups=False, time=True, spans=True), st.integers(0, 1000))
def test_no_later_time_stands_on_the_earlier_side_of_any_split(keys, seed):
    for earlier, later in sides_of(keys, seed):
        assert len(earlier)
        assert len(later)
        assert keys.spans[earlier].max() < keys.spans[later].min()


@settings(deadline=None, max_examples=25)
@given(keyed_rows(groups=True, time=True), st.integers(0, 1000))
def test_groups_with_a_time_are_split_in_order_and_whole(keys, seed):
    assert keys.kind == "time"
    for earlier, later in sides_of(keys, seed):
        assert keys.spans[earlier].max() < keys.spans[later].min()
        assert not set(keys.groups[earlier]) & set(keys.groups[later])


@settings(deadline=None, max_examples=25)
@given(keyed_rows(groups=True, time=True), st.integers(0, 1000))
def test_every_row_is_in_one_part_or_said_to_be_in_none(keys, seed):
    try:
        rows = parts_of(keys, seed)
    except (ValueError, StudyError):
        assume(False)
    assert sorted(np.concatenate(rows)) == list(range(len(keys)))
    assert bool(rows.notices) == bool(len(rows.dropped))


def test_without_groups_and_time_parts_are_those_of_train_test_split():
    classes = np.repeat([0, 1, 2], 40)
    rows = parts_of(row_keys(120, classes=classes), seed=3, test_size=30)
    rest, test = train_test_split(np.arange(120), test_size=30, random_state=3, stratify=classes)
    train, _ = train_test_split(rest, test_size=0.25, random_state=3, stratify=classes[rest])
    np.testing.assert_array_equal(rows.test, test)
    np.testing.assert_array_equal(rows.train, train)


def test_random_looks_at_no_class():
    keys = row_keys(120, kind="random", classes=np.repeat([0, 1, 2], 40))
    _, test = train_test_split(np.arange(120), test_size=0.25, random_state=3)
    np.testing.assert_array_equal(parts_of(keys, seed=3).test, test)


@pytest.mark.parametrize("size", [0.2, 40])
def test_by_time_the_last_rows_are_the_test_part_and_those_before_validate(size):
    moments = np.random.default_rng(0).permutation(200)
    rows = parts_of(row_keys(200, time=moments), test_size=size, validation_size=0.25)
    assert moments[rows.test].tolist() == list(range(160, 200))
    assert moments[rows.validation].tolist() == list(range(120, 160))


def test_dates_are_times_too():
    dates = np.datetime64("2024-01-01") + np.arange(100)[::-1]
    rows = parts_of(row_keys(100, time=dates))
    assert dates[rows.test].min() > dates[rows.validation].max()


def test_windows_that_reach_across_a_border_are_dropped_and_counted():
    first = np.arange(100)
    rows = parts_of(row_keys(100, time=np.column_stack([first, first + 9])))
    assert len(rows.test) == 25
    assert len(rows.dropped) == 18  # nine before each border
    assert rows.notices == ("18 rows stand in no part: their group or time is on both sides",)


def test_rows_of_one_moment_stay_together():
    moments = np.repeat(np.arange(4), 25)
    rows = parts_of(row_keys(100, time=moments), test_size=0.3, validation_size=0.3)
    assert [set(moments[part]) for part in rows[:3]] == [{0, 1}, {2}, {3}]


def test_groups_keep_the_shares_of_rows_and_of_classes_where_they_can():
    random = np.random.default_rng(1)
    groups = random.integers(0, 60, 1200)
    classes = (random.random(1200) < 0.1).astype(int)
    for seed in range(5):
        test = parts_of(row_keys(1200, groups=groups, classes=classes), seed=seed).test
        assert len(test) == pytest.approx(300, abs=30)
        assert classes[test].mean() == pytest.approx(classes.mean(), rel=0.15)


def test_another_seed_takes_other_groups():
    keys = row_keys(300, groups=np.arange(300) // 10)
    one, two, again = (sorted(parts_of(keys, seed).test) for seed in (1, 2, 1))
    assert one == again != two


def test_a_size_of_rows_that_leaves_none_is_refused():
    with pytest.raises(ValueError, match="test part: 100 of 100 rows would leave the other side"):
        parts_of(row_keys(100, time=np.arange(100)), test_size=100)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (row_keys(40, groups=np.zeros(40)), "test part: all rows are of one group"),
        (row_keys(40, time=np.zeros(40)), "test part: all rows have the same time"),
        (
            row_keys(40, time=np.arange(40), groups=np.arange(40) % 2),
            "test part: every row has a group or span that reaches across the border at 30",
        ),
    ],
    ids=["one group", "one moment", "groups of all times"],
)
def test_what_cannot_be_cut_is_refused_in_words(keys, message):
    with pytest.raises(ValueError, match=message):
        parts_of(keys)


def test_fixed_parts_that_share_a_group_are_refused_by_name():
    fixed = {"train": np.arange(20), "test": np.arange(20, 30), "validation": np.arange(30, 40)}
    groups = np.array(["ann", "bob", "cem", "dan"]).repeat(10)
    keys = row_keys(40, groups=np.roll(groups, 2))
    with pytest.raises(StudyError, match="parts: 'train' and 'test' share 1 groups \\('bob'\\)"):
        parts_of(keys, fixed=fixed)
    assert len(parts_of(row_keys(40, groups=groups), fixed=fixed).test) == 10


def test_fixed_parts_out_of_the_order_of_time_are_refused():
    fixed = {"train": np.arange(20), "test": np.arange(20, 30), "validation": np.arange(30, 40)}
    with pytest.raises(StudyError, match="'validation' has row 39 of 39, 'test' begins at 20"):
        parts_of(row_keys(40, time=np.arange(40)), fixed=fixed)
    assert len(parts_of(row_keys(40, kind="random", time=np.arange(40)), fixed=fixed).test) == 10


def test_the_stopping_rows_of_a_series_are_its_last():
    moments = np.random.default_rng(0).permutation(100)
    rows = stopping_cut(row_keys(100, time=moments), seed=0)
    assert moments[rows.taken].tolist() == list(range(90, 100))


def test_a_cut_by_group_is_shuffled_so_that_blocks_of_rows_hold_no_order():
    rows = cut(row_keys(200, groups=np.arange(200) // 5), 0.25, seed=0)
    assert (np.diff(rows.staying) < 0).any()


@pytest.mark.parametrize(
    ("groups", "time", "message"),
    [
        (np.zeros(3), None, "groups must be an array of one value a row, (4,), got (3,)"),
        (["a"] * 4, None, "groups must be an array of one value a row, (4,), got a list"),
        (np.array([1.0, np.nan, 2, 2]), None, "groups: row 1 has none"),
        (np.array(["a", 1, "b", "c"], object), None, "groups are of several types (int, str)"),
        (None, np.zeros((4, 3)), "time must be an array of one moment a row, (4,)"),
        (None, np.array(["1"] * 4), "time must hold numbers or datetime64, got dtype <U1"),
        (None, np.array(["2024", "NaT"] * 2, "M8[D]"), "time: row 1 has none (2 in all)"),
        (None, np.array([[0, 1], [3, 2]] * 2), "time: row 1 ends before it begins"),
    ],
)
def test_groups_and_times_that_cannot_be_used_are_faults(groups, time, message):
    (fault,) = key_faults(4, groups, time)
    assert fault.startswith(message)


@pytest.mark.parametrize("kind", ["group", "time", "stratified"])
def test_a_split_needs_what_it_splits_by(kind):
    (fault,) = kind_faults(row_keys(4, kind=kind))
    assert fault.startswith(f"split='{kind}' needs")


@pytest.mark.parametrize(
    ("kind", "groups", "time", "notice"),
    [
        (None, True, False, "split by group"),
        (None, False, True, "split by time: the test set is the last"),
        (None, True, True, "split by time, in whole groups"),
        ("random", True, True, "split='random' does not look at the rows' groups or time"),
        ("group", True, True, "split by group"),
    ],
)
def test_the_reader_is_told_how_rows_with_groups_and_time_are_split(kind, groups, time, notice):
    numbers = np.arange(4)
    keys = row_keys(
        4, kind=kind, groups=numbers if groups else None, time=numbers if time else None
    )
    assert next(iter(kind_notices(keys))).startswith(notice)


def test_plain_rows_need_no_word():
    assert not list(kind_notices(row_keys(4, classes=np.arange(4))))
