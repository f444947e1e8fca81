"""Layers that wait for `adapt` learn from the rows they are given, and from no other."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tuning import Windows
from tuning.builders.inputs import adapting
from tuning.builders.inputs.adapting import adapt_layers, waiting
from tuning.data.dataset import Dataset
from tuning.data.kinds.stream import Stream
from tuning.data.kinds.stream_array import StreamArray
from tuning.data.parts import split
from tuning.errors import StudyError

X = np.random.default_rng(0).normal(5.0, 3.0, size=(50, 2)).astype("float32")


def test_a_normalization_learns_what_reaches_it():
    inputs = keras.Input((2,))
    normalization = layers.Normalization(name="norm")
    model = keras.Model(inputs, normalization(layers.Rescaling(2.0)(inputs)))
    assert adapt_layers(model, X) == ("norm",)
    np.testing.assert_allclose(normalization.mean[0], 2 * X.mean(axis=0), rtol=1e-5)
    assert not any(waiting(model))


def test_a_layer_with_figures_of_its_own_is_left_alone():
    adapted = layers.Normalization()
    adapted.adapt(X)
    given = layers.Normalization(mean=1.0, variance=4.0)
    model = keras.Sequential([keras.Input((2,)), adapted, given])
    before = np.array(adapted.mean)
    assert adapt_layers(model, X * 7) == ()
    np.testing.assert_array_equal(adapted.mean, before)


def test_texts_make_the_vocabulary():
    inputs = keras.Input((), dtype="string")
    vectorize = layers.TextVectorization(output_sequence_length=2)
    model = keras.Model(inputs, layers.Embedding(10, 2)(vectorize(inputs)))
    adapt_layers(model, np.array(["one two", "two"], dtype=object))
    assert vectorize.get_vocabulary() == ["", "[UNK]", "two", "one"]


@pytest.mark.parametrize(
    ("layer", "values"),
    [
        (layers.StringLookup, np.array([["a"], ["b"]], dtype=object)),
        (layers.IntegerLookup, np.array([[4], [7]])),
    ],
)
def test_lookups_are_adapted_too(layer, values):
    lookup = layer()
    dtype = "string" if values.dtype == object else "int64"
    inputs = keras.Input((1,), dtype=dtype)
    adapt_layers(keras.Model(inputs, lookup(inputs)), values)
    assert lookup.vocabulary_size() == 3


def test_bins_are_found():
    bins = layers.Discretization(num_bins=4)
    adapt_layers(keras.Sequential([keras.Input((2,)), bins]), X)
    assert len(bins.bin_boundaries) == 3


def test_inputs_without_names_are_taken_in_the_models_order():
    inputs = [keras.Input((2,)), keras.Input((1,))]
    norms = [layers.Normalization(), layers.Normalization()]
    reached = [norms[0](inputs[0]), norms[1](layers.Rescaling(3.0)(inputs[1]))]
    adapt_layers(keras.Model(inputs, reached), {"0": X, "1": X[:, :1]})
    np.testing.assert_allclose(norms[0].mean[0], X.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(norms[1].mean[0], 3 * X[:, :1].mean(axis=0), rtol=1e-5)


def stream_of_rows() -> Dataset:
    def make(batch_size):
        return tf.data.Dataset.from_tensor_slices((X, X[:, 0])).batch(batch_size)

    return Stream(make, make, make, task="regression")


@pytest.mark.parametrize("factor", [1.0, 2.0])  # 1: the layer is the first one
@pytest.mark.parametrize(
    ("dataset", "rows"),
    [
        (lambda: Windows(X, 7, target=0), np.stack([X[i : i + 7] for i in range(43)])),
        (stream_of_rows, X),
    ],
)
def test_rows_that_are_not_in_memory_are_learnt_batch_by_batch(
    dataset, rows, factor, monkeypatch, tmp_path
):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path))
    monkeypatch.setattr(adapting, "CHUNK", 16)
    part = split(dataset(), seed=0).train
    first = [layers.Rescaling(factor)] if factor != 1 else []
    normalization = layers.Normalization()
    model = keras.Sequential([keras.Input(rows.shape[1:]), *first, normalization])
    adapt_layers(model, part.X)
    expected = rows if isinstance(part.X, StreamArray) else np.asarray(part.X)
    flat = factor * expected.reshape(-1, 2)
    np.testing.assert_allclose(np.ravel(normalization.mean), flat.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.ravel(normalization.variance), flat.var(axis=0), rtol=1e-4)


def test_a_layer_nobody_can_see_into_is_told():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.lookup = layers.IntegerLookup(name="hidden")

        def call(self, x):
            return self.lookup(x)

    model = Net()
    with pytest.raises(StudyError, match=r"layer 'hidden' \(IntegerLookup\) is not adapted"):
        adapt_layers(model, np.array([[4], [7]]))
