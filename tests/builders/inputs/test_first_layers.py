"""What reads an input first decides how it is prepared."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tuning.builders.inputs.first_layers import first_layers_of


def chain(*between, shape=(8,)):
    return keras.Sequential([keras.Input(shape), *between])


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (lambda: chain(layers.Dense(1)), ""),
        (lambda: chain(layers.Embedding(10, 2)), "lookup"),
        (lambda: chain(layers.Dropout(0.1), layers.Normalization()), "own"),
        (lambda: chain(layers.Rescaling(0.1)), "own"),
        (lambda: chain(layers.RandomFlip(), layers.Rescaling(0.1), shape=(4, 4, 3)), "own"),
        (lambda: chain(layers.Masking(), layers.LSTM(2), shape=(4, 3)), "mask"),
        (lambda: chain(keras.Sequential([layers.Rescaling(0.1)]), layers.Dense(1)), "own"),
    ],
)
def test_the_first_layer_that_changes_meaning_counts(model, kind):
    assert first_layers_of(model(), [""]) == {"": kind}


def test_division_by_255_in_the_graph_is_the_models_own_preparation():
    image = keras.Input((4,))
    model = keras.Model(image, layers.Dense(1)(image / 255.0))
    assert first_layers_of(model, [""]) == {"": "own"}


def test_a_merge_of_two_inputs_is_no_preparation():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model([a, b], layers.Dense(1)(layers.Multiply()([a, b])))
    assert first_layers_of(model, ["a", "b"]) == {"a": "", "b": ""}


def test_each_input_has_its_own_reader():
    ids, numbers = keras.Input((4,), name="ids"), keras.Input((2,), name="numbers")
    embedded = layers.Flatten()(layers.Embedding(9, 2)(ids))
    model = keras.Model([ids, numbers], layers.Dense(1)(layers.Concatenate()([embedded, numbers])))
    assert first_layers_of(model, ["ids", "numbers"]) == {"ids": "lookup", "numbers": ""}
    assert first_layers_of(model, ["0", "1"]) == {"0": "lookup", "1": ""}


def test_a_slice_of_an_input_that_is_looked_up_counts_for_it():
    table = keras.Input((4,))
    ids = layers.Flatten()(layers.Embedding(9, 2)(table[:, :1]))
    model = keras.Model(table, layers.Dense(1)(layers.Concatenate()([ids, table[:, 1:]])))
    assert first_layers_of(model, [""]) == {"": "lookup"}


def test_a_subclass_is_judged_by_its_layers():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = layers.Embedding(9, 2)

        def call(self, x):
            return keras.ops.mean(self.embedding(x), axis=(1, 2))

    model = Net()
    model(np.zeros((1, 4)))
    assert first_layers_of(model, [""]) == {"": "lookup"}
