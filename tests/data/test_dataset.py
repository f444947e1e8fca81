"""`Dataset`: what a table tells a builder, and its digest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tuning.data.dataset import Column, Dataset, input_shape_of

X = np.arange(12.0).reshape(6, 2)
TABLE = Dataset("table", X, np.arange(6.0), "regression")
CLASSES = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(
    ("task", "y", "classes", "outputs"),
    [
        ("regression", np.zeros(6), (), 1),
        ("regression", np.zeros((6, 1)), (), 1),
        ("regression", np.zeros((6, 3)), (), 3),
        ("binary", CLASSES % 2, ("no", "yes"), 1),
        ("multiclass", CLASSES, (), 3),
        ("multiclass", CLASSES, ("a", "b", "c", "never seen"), 4),
        ("multilabel", np.zeros((6, 4)), (), 4),
    ],
)
def test_the_last_layer_has_the_units_the_task_needs(task, y, classes, outputs):
    assert Dataset("table", X, y, task, classes).n_outputs == outputs


@pytest.mark.parametrize("shape", [(2,), (28, 28), (8, 8, 3)])
def test_one_samples_shape_leaves_out_the_rows(shape):
    assert replace(TABLE, X=np.zeros((6, *shape))).input_shape == shape


def test_a_categorical_column_is_one_input_a_category():
    columns = (Column("age"), Column("class", ("1st", "2nd", "3rd")))
    assert [column.width for column in columns] == [1, 3]
    assert replace(TABLE, columns=columns).input_shape == input_shape_of(X, columns) == (4,)


def test_equal_tables_have_equal_digests_whatever_their_layout_in_memory():
    assert replace(TABLE, X=np.asfortranarray(X), name="other").digest == TABLE.digest
    assert len(TABLE.digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"X": X + 1},
        {"X": X.astype(np.float32)},
        {"X": X.reshape(6, 2, 1)},
        {"X": X.reshape(3, 4)},
        {"y": np.ones(6)},
        {"parts": {"train": np.arange(3)}},
        {"columns": (Column("a"), Column("b"))},
    ],
)
def test_values_types_shapes_parts_and_columns_are_in_the_digest(change):
    assert replace(TABLE, **change).digest != TABLE.digest


def test_the_order_in_which_parts_are_named_is_not_in_the_digest():
    train, test = np.arange(4), np.arange(4, 6)
    one, other = {"train": train, "test": test}, {"test": test, "train": train}
    assert replace(TABLE, parts=one).digest == replace(TABLE, parts=other).digest
    assert (
        replace(TABLE, parts={"train": test, "test": train}).digest
        != replace(TABLE, parts=one).digest
    )


def test_with_longest_a_row_of_the_test_part_changes_no_other_row():
    rows = [[1, 2], [3], [4, 5, 6], [7]]
    y = np.arange(4.0)
    short, long = (
        Dataset("ragged", [*rows[:-1], last], y, "regression", longest=3) for last in ([7], [7] * 9)
    )
    np.testing.assert_array_equal(short.X[:3], long.X[:3])
    assert "1 longer ones are cut there" in long.notices[0]
