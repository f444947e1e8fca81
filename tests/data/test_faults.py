"""What is wrong with a data set is told at once, in words."""

import numpy as np
import pytest

from tuning.data.dataset import Dataset
from tuning.data.faults import cut_faults, dataset_faults
from tuning.data.parts import split
from tuning.errors import StudyError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12.0)
TWO = np.repeat([0, 1], 6)


def faults(**changes):
    return list(
        dataset_faults(Dataset(**{"name": "d", "X": X, "y": Y, "task": "regression", **changes}))
    )


def with_nan(array, row):
    copy = array.copy()
    copy[row] = np.nan
    return copy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": Y[:5]}, "X has 12 rows, y has 5; they must be equal"),
        ({"X": X[:0], "y": Y[:0]}, "there are no rows"),
        (
            {"X": with_nan(X, 3)},
            "X has 2 NaN or infinite values, the first in row 3; drop or fill them",
        ),
        (
            {"y": with_nan(Y, 7)},
            "y has 1 NaN or infinite values, the first in row 7; drop or fill them",
        ),
        (
            {"X": X.astype(object)},
            "X must hold numbers, got dtype object; encode text and dates as numbers first",
        ),
        (
            {"y": np.array(["a"] * 12)},
            "y must hold numbers, got dtype <U1; encode text and dates as numbers first",
        ),
        ({"X": X.tolist()}, "X must be a NumPy array, got list; convert with numpy.asarray"),
        (
            {"X": X[:, 0]},
            "X must be (rows, features), got (12,); for one feature use X.reshape(-1, 1)",
        ),
        ({"X": X[:, :0]}, "X has no features: its shape is (12, 0)"),
        ({"feature_names": ("a",)}, "there are 1 feature_names for 2 columns of X"),
        (
            {"y": np.ones(12)},
            "y is constant: every row has the same target, there is nothing to learn",
        ),
        (
            {"task": "regresion"},
            "task 'regresion' is unknown. Did you mean 'regression'? "
            "There are: regression, binary, multiclass, multilabel",
        ),
        ({"task": "binary"}, "a binary y must hold 0 and 1 only, found 2, 3, 4, 5, 6, …"),
        (
            {"task": "binary", "y": np.ones((12, 2, 2))},
            "every row is of class 1; there is nothing to learn",
        ),
        (
            {"y": np.ones((12, 4)) * Y[:, None], "weight": np.ones((12, 3))},
            "weight must be (rows,), or (rows, steps) with the first axes of y of shape (12, 4), "
            "got (12, 3)",
        ),
        ({"task": "binary", "y": TWO * 0}, "every row is of class 0; there is nothing to learn"),
        (
            {"task": "binary", "y": np.array([0] * 11 + [1]), "classes": ("no", "yes")},
            "class 'yes' has 1 member; the split needs 3: add rows or merge classes",
        ),
        (
            {"task": "multiclass", "y": Y + 0.5},
            "a multiclass y must hold class numbers, found 0.5, 1.5, 2.5, 3.5, 4.5, …; "
            "is this a regression?",
        ),
        (
            {"task": "multiclass", "y": TWO + 1},
            "class numbers must run from 0 to 1 without a gap, found 1, 2",
        ),
        (
            {"task": "multiclass", "y": TWO * 2, "classes": ("a", "b", "c")},
            "no row is of class 'b'; add rows, or renumber without it",
        ),
        (
            {"y": 1.7e9 + np.arange(12.0)},
            "y varies little around a large number, and float32, which Keras computes in, "
            "rounds it off: centre y",
        ),
        (
            {"task": "multilabel", "y": TWO},
            "a multilabel y must be (rows, outputs), got (12,); "
            "for one answer a row use task='binary'",
        ),
        ({"parts": {"test": [0]}}, "parts: 'train' is missing; name the training rows too"),
        ({"parts": {"train": [0, 99]}}, "parts: 'train' names row 99 of 12"),
        (
            {"parts": {"train": [0, 1], "test": [1, 2]}},
            "parts: 1 rows are named twice; training, validation and test rows must differ",
        ),
        (
            {"parts": {"train": [0, 1], "tset": [2]}},
            "parts: 'tset' is unknown. Did you mean 'test'? There are: train, validation, test",
        ),
        (
            {"parts": {"train": [0.5]}},
            "parts: 'train' must be a list of row numbers, not empty, got [0.5]",
        ),
    ],
)
def test_a_fault_is_told_in_one_sentence(changes, message):
    assert faults(**changes) == [message]


def test_lone_members_are_two_faults_where_two_classes_have_them():
    assert len(faults(task="multiclass", y=np.array([0] * 9 + [1, 1, 2]))) == 2


def test_a_class_may_be_small_where_the_data_set_fixes_all_parts():
    parts = {"train": np.arange(8), "validation": np.arange(8, 10), "test": np.arange(10, 12)}
    assert faults(task="binary", y=np.array([1] + [0] * 11), parts=parts) == []


def test_all_faults_come_at_once_with_the_data_sets_name():
    with pytest.raises(StudyError) as caught:
        split(
            Dataset("mine", with_nan(X, 0), np.ones(5), "regression", feature_names=("a",)), seed=0
        )
    assert caught.value.faults == (
        "X has 2 NaN or infinite values, the first in row 0; drop or fill them",
        "X has 12 rows, y has 5; they must be equal",
        "there are 1 feature_names for 2 columns of X",
        "y is constant: every row has the same target, there is nothing to learn",
    )
    assert str(caught.value).startswith("data 'mine': 4 faults:")


def test_images_as_targets_are_none_of_scikit_learns():
    data = Dataset("images", X, np.random.default_rng(0).normal(size=(12, 2, 2, 1)), "regression")
    assert list(cut_faults(data, "gridsearchcv")) == [
        "engine 'gridsearchcv': scikit-learn takes (rows, outputs), y has the shape (12, 2, 2, 1); "
        "use an engine of Optuna's or KerasTuner's"
    ]
