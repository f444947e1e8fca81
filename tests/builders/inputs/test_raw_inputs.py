"""Rows for a saved winner of several inputs or texts, in any shape that a program has them in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tuning.builders.inputs.raw_inputs import as_taken, keep
from tuning.errors import StudyError

MIXED = {"size": np.zeros((4, 3)), "age": np.zeros(4), "note": np.array(["a", "b", "c", "d"])}
ROWS = {"size": np.ones((2, 3)), "age": [4, 5], "note": ["x", "y"]}


@pytest.fixture
def kept(tmp_path):
    def of(X):
        keep(tmp_path / "winner.keras", X)
        return tmp_path / "winner.keras"

    return of


def same(taken, expected):
    assert list(taken) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(taken[name], np.asarray(array))


def test_one_array_of_numbers_leaves_no_file_and_drops_an_earlier_one(kept):
    path = kept(MIXED)
    assert path.with_suffix(".inputs.json").exists()
    kept(np.zeros((4, 2)))
    assert not path.with_suffix(".inputs.json").exists()
    np.testing.assert_array_equal(as_taken(path, [[1, 2]]), [[1, 2]])


def test_a_mapping_in_any_order_is_given_in_the_models(kept):
    path = kept(MIXED)
    taken = as_taken(path, {**dict(reversed(ROWS.items())), "other": [0, 0]})
    same(taken, ROWS)
    assert taken["note"].dtype == object  # TensorFlow reads no texts of NumPy's own type


def test_a_frame_gives_each_input_the_columns_of_its_name(kept):
    single = pd.DataFrame({"note": ["x", "y"], "other": [0, 0], "age": [4, 5]})
    narrow = {"age": np.zeros((4, 1)), "note": np.array(["a", "b"])}
    same(as_taken(kept(narrow), single), {"age": [[4], [5]], "note": ["x", "y"]})

    levels = [("size", 0), ("size", 1), ("size", 2), ("age", ""), ("note", "")]
    wide = pd.DataFrame([[1, 1, 1, 4, "x"], [1, 1, 1, 5, "y"]])
    wide.columns = pd.MultiIndex.from_tuples(levels)
    same(as_taken(kept(MIXED), wide.infer_objects()), ROWS)


def test_inputs_without_names_are_a_list_in_their_order(kept):
    path = kept({"0": np.zeros((4, 3)), "1": np.zeros(4)})
    first, second = as_taken(path, (np.ones((2, 3)), [4, 5]))
    assert (first.shape, second.tolist()) == ((2, 3), [4, 5])


@pytest.mark.parametrize(
    "texts",
    [["x", "y"], np.array(["x", "y"]), pd.Series(["x", "y"]), pd.DataFrame({"t": ["x", "y"]})],
)
def test_texts_come_as_lists_arrays_or_a_column(kept, texts):
    taken = as_taken(kept(np.array(["a", "b", "c"])), texts)
    assert (taken.dtype, taken.tolist()) == (object, ["x", "y"])


def test_ragged_rows_are_padded(kept):
    path = kept({"steps": np.zeros((4, 9), int), "age": np.zeros(4)})
    taken = as_taken(path, {"steps": [[1, 2, 3], [4]], "age": [1.0, 2.0]})
    assert taken["steps"].tolist() == [[1, 2, 3], [4, 0, 0]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"size": np.ones((2, 3))}, ["age, note are missing, received: size"]),
        (np.ones((2, 3)), ["received one ndarray; give a mapping by these names, or a tuple"]),
        ((np.ones((2, 3)), [4, 5]), ["3 inputs (size, age, note), received 2"]),
        (
            {"size": np.ones((2, 5, 1)), "age": ["x", "y", "z"], "note": [1, 2]},
            [
                "input 'size' has rows of shape (5, 1), the model was trained on (3,)",
                "input 'age' holds numbers, received <U1",
                "input 'note' holds texts, received 1",
                "as many rows each, received: size 2, age 3, note 2",
            ],
        ),
    ],
)
def test_what_does_not_fit_is_said(kept, rows, words):
    with pytest.raises(StudyError) as raised:
        as_taken(kept(MIXED), rows)
    for sentence in words:
        assert sentence in str(raised.value)
