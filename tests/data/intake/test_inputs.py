"""Inputs as programs have them: several by name or in order, ragged rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tuning.data.dataset import Dataset
from tuning.data.faults import dataset_faults

Y = np.arange(12.0)
A = np.arange(24.0).reshape(12, 2)
B = np.arange(36.0).reshape(12, 3)
RAGGED = [list(range(1, 2 + i % 4)) for i in range(12)]


@pytest.mark.parametrize("X", [(A, B), [A, B]], ids=["tuple", "list"])
def test_inputs_in_order_are_named_by_their_place(X):
    data = Dataset("d", X, Y, "regression")
    assert data.input_shape == {"0": (2,), "1": (3,)}
    assert list(dataset_faults(data)) == []


def test_a_frame_is_an_input_a_column():
    frame = pd.DataFrame({"age": Y, "city": ["a", "b"] * 6})
    data = Dataset("d", frame, Y, "regression")
    assert list(data.X) == ["age", "city"]
    assert list(dataset_faults(data)) == []


def test_several_inputs_of_unequal_rows_are_told_by_name():
    data = Dataset("d", {"a": A, "b": B[:5]}, Y, "regression")
    assert list(dataset_faults(data)) == ["X['a'] has 12 rows, X['b'] has 5; they must be equal"]


@pytest.mark.parametrize("rows", [RAGGED, np.array(RAGGED, dtype=object)], ids=["list", "objects"])
def test_ragged_rows_are_padded_with_zeros_at_the_end_and_said_so(rows):
    data = Dataset("d", rows, Y, "regression")
    np.testing.assert_array_equal(data.X[:3], [[1, 0, 0, 0], [1, 2, 0, 0], [1, 2, 3, 0]])
    assert data.notices == ("X: rows of 1 to 4 steps are padded with 0 at the end to 4",)


def test_longest_cuts_ragged_rows_and_counts_them():
    data = Dataset("d", RAGGED, Y, "regression", longest=3)
    assert data.X.shape == (12, 3)
    assert data.notices[0].endswith("to 3; 3 longer ones are cut there")


def test_ragged_rows_keep_their_features():
    steps = [np.ones((1 + i % 3, 2)) for i in range(12)]
    assert Dataset("d", steps, Y, "regression").X.shape == (12, 3, 2)


def test_texts_have_a_digest_of_their_own():
    texts = np.array(["good one", "bad"] * 6, dtype=object)
    others = np.array(["good one", "worse"] * 6, dtype=object)
    digests = {Dataset("d", X, Y, "regression").digest for X in (texts, texts.copy(), others)}
    assert len(digests) == 2


def test_mixed_values_are_told():
    data = Dataset("d", np.array([1, "a"] * 6, dtype=object), Y, "regression")
    assert "its first value is a int, value 1 a str" in next(iter(dataset_faults(data)))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(5), "X has 12 rows, weight has 5; they must be equal"),
        (-np.ones(12), "weight must not be below 0, and somewhere above: found -1"),
        (np.full(12, np.nan), "weight has 12 NaN or infinite values"),
    ],
)
def test_weights_that_mean_nothing_are_told(weight, message):
    data = Dataset("d", A, Y, "regression", weight=weight)
    assert message in " ".join(dataset_faults(data))
