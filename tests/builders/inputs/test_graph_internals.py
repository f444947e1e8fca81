"""Private names of Keras that tell what a model is made of."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from tuning.builders.inputs.graph_internals import mask_of


def test_the_mask_of_an_output_is_what_its_inputs_padding_says():
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    sequence = [layers.Embedding(4, 2, mask_zero=True), layers.Dense(1)]
    model = keras.Sequential([keras.Input((3,)), *sequence])
    np.testing.assert_array_equal(mask_of(model(ids)), ids > 0)
    assert mask_of(keras.Sequential([keras.Input((3,)), layers.Dense(1)])(ids)) is None
