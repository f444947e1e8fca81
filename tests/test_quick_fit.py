"""What the tests' own `fit` is given is what Keras would give it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from keras.src import tree
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from tests.quick_fit import sliced_batches

X = np.arange(14.0).reshape(7, 2)  # float64: both make float32 of it
Y = np.arange(7)
TEXTS = np.array(list("abcdefg"), dtype=object)
WEIGHT = np.linspace(0.1, 0.7, 7)


@pytest.mark.parametrize(
    "rows",
    [
        (X, Y),
        (X, Y, WEIGHT),
        ({"a": X, "b": TEXTS}, [Y, X]),
        (tf.constant(X), Y),
    ],
    ids=["arrays", "weights", "nested", "tensors"],
)
@pytest.mark.parametrize("batch_size", [3, 7, 10])
def test_batches_are_those_of_keras(rows, batch_size):
    adapter = ArrayDataAdapter(*rows, batch_size=batch_size)
    ours, theirs = sliced_batches(adapter), adapter.keras_dataset()
    assert str(ours.element_spec) == str(theirs.element_spec)
    for batch, expected in zip(ours, theirs, strict=True):
        for part, whole in zip(tree.flatten(batch), tree.flatten(expected), strict=True):
            assert part.dtype == whole.dtype
            assert part.shape.as_list() == whole.shape.as_list()
            np.testing.assert_array_equal(np.asarray(part), np.asarray(whole))


@pytest.mark.parametrize(
    ("x", "settings"),
    [
        (X, {"shuffle": True}),
        (X, {"shuffle": "batch"}),
        (tf.ragged.constant([[1]] * 7), {}),
        (tf.sparse.from_dense(X), {}),
    ],
    ids=["shuffled", "shuffled batches", "ragged", "sparse"],
)
def test_rows_that_are_shuffled_or_no_arrays_are_left_to_keras(x, settings, monkeypatch):
    adapter = ArrayDataAdapter(x, **settings)
    monkeypatch.setattr(ArrayDataAdapter, "keras_dataset", lambda adapter: "its own")
    assert sliced_batches(adapter) == "its own"
