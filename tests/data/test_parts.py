"""Splits, scaling and folds: exactly scikit-learn's, and never a look at rows that must stay
unseen.
"""

import numpy as np
import pytest
from sklearn.model_selection import check_cv, train_test_split
from sklearn.preprocessing import StandardScaler

from tuning.data.california import california_housing
from tuning.data.dataset import Dataset
from tuning.data.folds import folds as folds_of
from tuning.data.parts import inner_split, scaler, split, strata_of
from tuning.data.row_keys import row_keys
from tuning.data.toy import digits, iris
from tuning.errors import StudyError

RNG = np.random.default_rng(0)


def regression(rows=40, **changes):
    X = np.arange(rows * 3, dtype=float).reshape(rows, 3)
    return Dataset(
        **{"name": "d", "X": X, "y": np.arange(rows, dtype=float), "task": "regression", **changes}
    )


def binary(counts, **changes):
    y = np.repeat(np.arange(len(counts)), counts)
    return Dataset(
        **{
            "name": "d",
            "X": np.arange(len(y) * 2.0).reshape(-1, 2),
            "y": y,
            "task": "binary",
            **changes,
        }
    )


def folds(y, k, task):
    return folds_of(row_keys(len(y), classes=strata_of(y, task)), k)


def same(part, X, y):
    return np.array_equal(part.X, X) and np.array_equal(part.y, y.astype(part.y.dtype))


def test_seed_42_gives_the_courses_split_of_california_housing():
    housing = california_housing()
    X_full, X_test, y_full, y_test = train_test_split(housing.X, housing.y, random_state=42)
    X_train, X_valid, y_train, y_valid = train_test_split(X_full, y_full, random_state=42)
    parts = split(housing, seed=42)
    assert same(parts.train, X_train, y_train)
    assert same(parts.validation, X_valid, y_valid)
    assert same(parts.test, X_test, y_test)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (11610, 3870, 5160)


def test_scaled_parts_equal_the_courses_standard_scaler_fitted_on_the_training_part():
    parts = split(california_housing(), seed=42)
    course = StandardScaler().fit(parts.train.X)
    scaled = parts.scaled()
    for name in ("train", "validation", "test"):
        expected = course.transform(getattr(parts, name).X).astype(np.float32)
        assert np.array_equal(getattr(scaled, name).X, expected)
        assert getattr(scaled, name).X.dtype == np.float32


def test_scaling_twice_is_scaling_once():
    parts = split(regression(), seed=0).scaled()
    assert parts.scaled() is parts


def test_a_constant_column_becomes_zero():
    X = np.column_stack([np.full(40, 7.0), np.arange(40.0)])
    scaled = split(regression(X=X), seed=0).scaled()
    assert np.array_equal(scaled.test.X[:, 0], np.zeros(10))


def test_a_large_number_that_varies_little_survives_scaling():
    seconds = 1.7e9 + np.arange(40.0)  # float32 knows steps of 128 there
    scaled = split(regression(X=np.column_stack([seconds, seconds])), seed=0).scaled()
    assert len(np.unique(scaled.train.X[:, 0])) == len(scaled.train)


def test_images_are_scaled_pixel_by_pixel_and_keep_their_shape():
    X = RNG.normal(5.0, 2.0, (40, 4, 4))
    scaled = split(regression(X=X), seed=0).scaled()
    assert scaled.train.X.shape == (22, 4, 4)
    assert np.allclose(scaled.train.X.mean(axis=0), 0.0, atol=1e-6)


def test_a_data_set_that_is_not_to_be_scaled_is_only_cast():
    data = digits()
    parts = split(data, seed=0)
    assert parts.train.X.dtype == np.float32
    assert np.array_equal(parts.scaled().train.X, parts.train.X)


def test_ids_of_millions_of_things_stay_apart_where_nothing_is_scaled():
    ids = 2**24 + np.arange(40)
    parts = split(regression(X=ids[:, None], scale=False), seed=0).scaled()
    assert parts.train.X.dtype == np.float32  # what no lookup reads is cast as ever
    raw = split(regression(X=ids[:, None], scale=False), seed=0).search_part
    assert len(np.unique(raw.X)) == len(raw)
    assert split(regression(X=ids[:, None] - 2**24, scale=False), seed=0).train.X.dtype == "f4"


def test_an_output_without_weights_counts_1_where_another_has_some():
    rows = np.arange(40.0)
    parts = split(
        Dataset(
            name="d",
            X=rows[:, None],
            y={"a": rows, "b": rows},
            task="regression",
            weight={"b": rows},
        ),
        seed=0,
    )
    assert list(parts.train.weight) == ["a", "b"]
    assert (parts.train.weight["a"] == 1).all()
    np.testing.assert_array_equal(parts.train.weight["b"], parts.train.y["b"])


def test_scaler_is_fitted_on_the_rows_given_alone():
    fitted = scaler(np.array([[1.0], [3.0]]))
    assert fitted.transform(np.array([[5.0]])).tolist() == [[3.0]]


@pytest.mark.parametrize(
    ("dataset", "dtype", "shape"),
    [
        (regression(), np.float32, (22,)),
        (regression(y=np.ones((40, 2)) * np.arange(40)[:, None]), np.float32, (22, 2)),
        (binary([20, 20]), np.float32, (22,)),
        (binary([20, 20, 20], task="multiclass"), np.int32, (33,)),
    ],
    ids=["regression", "two targets", "binary", "multiclass"],
)
def test_targets_have_the_type_that_keras_losses_want_and_keep_their_axes(dataset, dtype, shape):
    y = split(dataset, seed=0).train.y
    assert (y.dtype, y.shape) == (dtype, shape)


def test_classes_keep_their_shares_in_every_part():
    parts = split(binary([120, 40]), seed=3)
    assert [part.y.sum() for part in (parts.train, parts.validation, parts.test)] == [23, 7, 10]


def test_another_seed_gives_another_split_and_the_same_seed_the_same():
    one, two, again = (split(regression(), seed=seed).test.y.tolist() for seed in (1, 2, 1))
    assert one == again != two


def test_parts_fixed_by_the_data_set_are_kept_in_its_order():
    rows = {"train": np.arange(20), "validation": np.arange(30, 20, -1), "test": np.arange(31, 40)}
    parts = split(regression(parts=rows), seed=0)
    assert parts.validation.y.tolist() == list(range(30, 20, -1))
    assert parts.test.y.tolist() == list(range(31, 40))


def test_a_fixed_test_part_leaves_validation_to_the_seed():
    parts = split(regression(parts={"train": np.arange(30), "test": np.arange(30, 40)}), seed=0)
    assert parts.test.y.tolist() == list(range(30, 40))
    assert sorted([*parts.train.y, *parts.validation.y]) == list(range(30))
    assert len(parts.validation) == 8


def test_search_part_is_training_then_validation():
    parts = split(regression(), seed=0)
    assert parts.search_part.y.tolist() == [*parts.train.y, *parts.validation.y]
    assert len(parts.search_part.X) == 30


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (RNG.normal(size=20), "regression"),
        (RNG.integers(0, 2, 20).astype(np.float32), "binary"),
        (np.repeat([2, 0, 1], 7), "multiclass"),
        (np.eye(4)[RNG.integers(0, 4, 20)], "multilabel"),
    ],
)
def test_folds_are_those_of_check_cv(y, task):
    expected = check_cv(3, y, classifier=task in ("binary", "multiclass")).split(
        np.zeros(len(y)), y
    )
    for (train, test), (train_2, test_2) in zip(folds(y, 3, task), expected, strict=True):
        assert np.array_equal(train, train_2)
        assert np.array_equal(test, test_2)


def test_a_class_smaller_than_the_number_of_folds_is_refused():
    with pytest.raises(
        StudyError, match=r"cv=3: class 1 has 2 members, fewer than the 3 folds; use a smaller cv"
    ):
        folds(np.array([0, 0, 0, 0, 1, 1]), 3, "binary")


def test_more_folds_than_rows_are_refused():
    with pytest.raises(StudyError, match="cv=5: 3 rows cannot make 5 folds"):
        folds(np.zeros(3), 5, "regression")


def test_inner_split_covers_all_rows_once_and_depends_on_the_seed():
    y = np.arange(50.0)
    fit, stop = inner_split(y, seed=1, task="regression")
    assert sorted([*fit, *stop]) == list(range(50))
    assert len(stop) == 5
    assert stop.tolist() != inner_split(y, seed=2, task="regression")[1].tolist()
    assert stop.tolist() == inner_split(y, seed=1, task="regression")[1].tolist()


def test_inner_split_keeps_the_shares_of_the_classes():
    y = np.repeat([0, 1], [80, 20])
    assert y[inner_split(y, seed=0, task="binary")[1]].sum() == 2


@pytest.mark.parametrize(
    "y", [np.array([0] * 19 + [1]), np.arange(10)], ids=["lone member", "more classes than rows"]
)
def test_inner_split_is_plainly_shuffled_where_classes_are_too_small(y):
    fit, stop = inner_split(y, seed=0, task="multiclass")
    assert len(fit) + len(stop) == len(y)


def test_inner_split_of_one_row_is_refused():
    with pytest.raises(StudyError, match="1 rows cannot be split"):
        inner_split(np.zeros(1), seed=0, task="regression")


def test_iris_parts_tell_what_a_builder_needs():
    parts = split(iris(), seed=0)
    assert (parts.input_shape, parts.n_outputs, parts.task) == ((4,), 3, "multiclass")
    assert (parts.dataset_name, parts.digest) == ("iris", iris().digest)


def test_too_few_rows_for_three_parts_are_refused_in_words():
    with pytest.raises(StudyError, match="data 'd': cannot split 2 rows in three"):
        split(regression(rows=2), seed=0)


@pytest.mark.parametrize(
    ("task", "counts", "lacking"),
    [("multiclass", [4, 4, 4], "class 1"), ("binary", [4, 8], "class 1")],
)
def test_training_rows_fixed_without_a_class_are_a_fault(task, counts, lacking):
    y = np.repeat(np.arange(len(counts)), counts)
    held = np.flatnonzero(y == 1)
    parts = {"train": np.flatnonzero(y != 1), "validation": held[:2], "test": held[2:]}
    with pytest.raises(
        StudyError, match=f"no training row is of {lacking}; give 'train' rows of every class"
    ):
        split(binary(counts, task=task, parts=parts), seed=0)
