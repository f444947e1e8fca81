"""What a model is made of that is not Keras'."""

from __future__ import annotations

import keras
from keras import layers

from tests.trials.own_layers import Doubled, Share, twice, within
from tuning.builders.inputs.own_objects import imports_of, own_objects


def test_layers_within_layers_functions_losses_and_metrics_are_found():
    inner = keras.Sequential([Doubled()])
    last = layers.Dense(1, activation=twice)
    model = keras.Sequential([keras.Input((2,)), inner, last])
    model.compile("sgd", within, metrics=["mae"], weighted_metrics=[Share()])
    found = own_objects(model)
    assert found == {"Doubled": Doubled, "twice": twice, "within": within, "Share": Share}
    assert imports_of(found) == (
        "from tests.trials.own_layers import Doubled, Share, twice, within",
    )


def test_a_plain_model_needs_nothing():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, activation=lambda x: x)])
    model.compile("adam", keras.losses.Huber(), metrics=["mae"])
    assert own_objects(model) == {}
