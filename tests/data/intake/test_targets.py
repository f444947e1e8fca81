"""y as programs have it: texts, one-hot rows, columns, any shape."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.data.dataset import Dataset
from tuning.data.faults import dataset_faults
from tuning.data.parts import split
from tuning.errors import StudyError

NUMBERS = np.arange(12) % 3
X = np.random.default_rng(0).normal(size=(12, 4))


def data(y, task, **fields):
    return Dataset("d", X, y, task, **fields)


def test_one_hot_rows_become_class_numbers_and_are_remembered():
    made = data(np.eye(3)[NUMBERS], "multiclass")
    np.testing.assert_array_equal(made.y, NUMBERS)
    assert (made.one_hot, made.n_outputs) == (("",), 3)
    assert list(dataset_faults(made)) == []


def test_an_empty_column_of_one_hot_rows_is_a_class_without_rows():
    made = data(np.eye(4)[NUMBERS], "multiclass")
    assert list(dataset_faults(made)) == [
        "no row is of class '3'; add rows, or renumber without it"
    ]


@pytest.mark.parametrize("y", [(NUMBERS > 0)[:, None], np.eye(2)[(NUMBERS > 0).astype(int)]])
def test_binary_y_of_one_or_two_columns_becomes_numbers(y):
    np.testing.assert_array_equal(data(y, "binary").y, NUMBERS > 0)


def test_names_of_classes_become_numbers_in_their_order():
    made = data(np.array(["no", "yes"])[(NUMBERS > 0).astype(int)], "binary")
    assert made.classes == ("no", "yes")
    np.testing.assert_array_equal(made.y, NUMBERS > 0)


def test_a_name_that_is_no_class_is_a_fault():
    made = data(np.array(["a", "b", "c"])[NUMBERS], "multiclass", classes=("a", "b"))
    assert any("must hold numbers" in fault for fault in dataset_faults(made))


def test_one_constant_column_of_many_is_no_fault_and_all_are():
    two = np.column_stack([X[:, 0], np.zeros(12)])
    assert list(dataset_faults(data(two, "regression"))) == []
    assert "y is constant" in next(iter(dataset_faults(data(two * 0, "regression"))))


@pytest.mark.parametrize(("shape", "expected"), [((2, 2, 1), (2, 2, 1)), ((4,), (4,))])
def test_y_of_any_shape_is_taken(shape, expected):
    made = data(X.reshape(12, *shape), "regression")
    assert list(dataset_faults(made)) == []
    assert made.output_shape == expected


def test_a_class_for_each_step_is_taken():
    made = data(np.arange(24).reshape(12, 2) % 3, "multiclass")
    assert list(dataset_faults(made)) == []
    assert made.output_shape == (2, 3)


def test_tasks_may_differ_by_output():
    made = data({"price": X[:, 0], "kind": NUMBERS}, {"price": "regression", "kind": "multiclass"})
    assert made.n_outputs == {"price": 1, "kind": 3}
    assert list(dataset_faults(made)) == []


def test_a_task_without_output_is_told():
    made = data({"price": X[:, 0], "kind": NUMBERS}, {"price": "regression"})
    assert "give a task for each output" in " ".join(dataset_faults(made))


def test_test_rows_are_never_taken_out_of_a_fixed_split_without_a_word():
    fixed = {"train": np.arange(8), "validation": np.arange(8, 12)}
    with pytest.raises(StudyError, match="'test' is missing: test rows would be taken out"):
        split(data(X[:, 0], "regression", parts=fixed), seed=0)


def test_weights_go_with_their_rows():
    made = data(X[:, 0], "regression", weight=np.arange(1.0, 13))
    parts = split(made, seed=0)
    weights = np.concatenate([parts.search_part.weight, parts.test.weight])
    assert sorted(weights) == list(range(1, 13))
    row = parts.train.take(np.array([0]))
    assert made.weight[np.flatnonzero((row.X[0] == made.X).all(axis=1))] == row.weight


@pytest.mark.parametrize(
    ("y", "task", "shape"),
    [
        (X[:, 0], "regression", (1,)),
        (X.reshape(12, 2, 2), "regression", (2, 2)),
        (NUMBERS, "multiclass", (3,)),
        ((NUMBERS > 0).astype(int), "binary", (1,)),
    ],
)
def test_parts_know_the_shape_of_the_output_as_the_data_set_does(y, task, shape):
    made = data(y, task)
    assert made.output_shape == split(made, seed=0).output_shape == shape
