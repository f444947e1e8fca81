"""Steps that a model masks count nothing in scores."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tuning.builders.padding import scoring_weight

IDS = np.array([[1, 2, 0], [3, 0, 0], [1, 1, 1]])
STEPS = (IDS > 0).astype(np.float32)


def tagger(*, mask_zero=True):
    embedded = layers.Embedding(4, 2, mask_zero=mask_zero)
    return keras.Sequential([keras.Input((3,)), embedded, layers.GRU(2, return_sequences=True)])


def test_masked_steps_weigh_nothing():
    np.testing.assert_array_equal(scoring_weight(tagger(), IDS, IDS, None), STEPS)


def test_weights_of_rows_count_for_their_steps():
    weight = np.array([1.0, 2.0, 3.0])
    expected = STEPS * weight[:, None]
    np.testing.assert_array_equal(scoring_weight(tagger(), IDS, IDS, weight), expected)


@pytest.mark.parametrize(
    ("model", "y"),
    [(tagger(mask_zero=False), IDS), (tagger(), IDS[:, 0]), (tagger(), IDS[:, :2])],
    ids=["no mask", "one answer a row", "other steps than the mask's"],
)
def test_other_models_and_targets_keep_the_weights_of_their_rows(model, y):
    weight = np.ones(3)
    assert scoring_weight(model, IDS, y, weight) is weight


def test_of_several_outputs_each_has_its_own():
    ids = keras.Input((3,), name="ids")
    steps = layers.Embedding(4, 2, mask_zero=True)(ids)
    tag = layers.Dense(2, name="tag")(steps)
    total = layers.Dense(3, name="total")(layers.GlobalAveragePooling1D()(steps))
    model = keras.Model(ids, [total, tag])
    weight = scoring_weight(model, IDS, {"tag": IDS, "total": np.ones((3, 3))}, None)
    np.testing.assert_array_equal(weight["tag"], STEPS)
    np.testing.assert_array_equal(weight["total"], np.ones(3))


class Padding(layers.Layer):
    """Says that negative numbers are padding."""

    def compute_mask(self, inputs, mask=None):
        return keras.ops.any(inputs >= 0, axis=-1)

    def call(self, inputs):
        return inputs * 1.0


class OfAClass(keras.Model):
    def __init__(self):
        super().__init__()
        self.padding = Padding()
        self.dense = layers.Dense(1)

    def call(self, inputs):
        return self.dense(self.padding(inputs))


def test_a_mask_of_ones_own_is_found_in_a_model_of_a_class():
    steps = np.where(IDS > 0, IDS, -1)[:, :, None].astype(np.float32)
    np.testing.assert_array_equal(scoring_weight(OfAClass(), steps, IDS, None), STEPS)
