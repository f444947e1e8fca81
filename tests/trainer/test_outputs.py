"""Outputs by name, and what makes probabilities of each."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tuning.trainer.outputs import as_probabilities, by_output, by_target, link_of, loss_of

LOGITS = np.array([[0.0], [2.0]])


def model_of(losses, *, by_name):
    inputs = keras.Input((2,))
    outputs = [keras.layers.Dense(1, name=name)(inputs) for name in ("zero", "alpha")]
    named = dict(zip(("zero", "alpha"), outputs, strict=True))
    model = keras.Model(inputs, named if by_name else outputs)
    model.compile("sgd", losses)
    return model


@pytest.fixture(scope="module")
def in_order():
    losses = [keras.losses.BinaryCrossentropy(from_logits=True), "mse"]
    return model_of(losses, by_name=False)


def test_outputs_in_an_order_get_the_names_of_their_layers(in_order):
    assert list(by_output(in_order, [LOGITS, LOGITS + 1])) == ["zero", "alpha"]


def test_outputs_by_name_keep_theirs_whatever_the_order(in_order):
    named = by_output(in_order, {"zero": LOGITS, "alpha": LOGITS + 1})
    np.testing.assert_array_equal(named["zero"], LOGITS)
    np.testing.assert_array_equal(named["alpha"], LOGITS + 1)


def test_a_list_of_one_output_is_that_output(in_order):
    np.testing.assert_array_equal(by_output(in_order, [LOGITS]), LOGITS)


def test_predictions_get_the_places_that_the_targets_were_given_in():
    predicted = {"zero": LOGITS, "alpha": LOGITS + 1}
    assert list(by_target(predicted, {"0": LOGITS, "1": LOGITS})) == ["0", "1"]
    assert by_target(predicted, {"zero": LOGITS, "alpha": LOGITS}) is predicted
    assert by_target(LOGITS, LOGITS) is LOGITS


@pytest.mark.parametrize("output", ["zero", "0"])
def test_the_loss_of_an_output_says_what_makes_probabilities_of_it(in_order, output):
    assert link_of(in_order, output) == "sigmoid"
    assert link_of(in_order, "alpha") == ""


def test_losses_by_name_are_found_by_name_and_by_place():
    losses = {"zero": "mse", "alpha": keras.losses.BinaryCrossentropy(from_logits=True)}
    model = model_of(losses, by_name=True)
    assert [link_of(model, output) for output in ("zero", "alpha")] == ["", "sigmoid"]
    model = model_of(losses, by_name=False)
    assert [link_of(model, output) for output in ("0", "1")] == ["", "sigmoid"]
    assert [loss_of(model, output) for output in ("zero", "0")] == ["mse", "mse"]


def test_an_only_loss_is_found_however_it_was_nested():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="zero")])
    for given in ("mse", ["mse"], {"zero": "mse"}):
        model.compile("sgd", given)
        assert loss_of(model) == "mse"


def test_a_model_that_names_no_outputs_has_its_losses_by_place():
    class Two(keras.Model):
        pass

    model = Two()
    model.compile("sgd", ["mse", "mae"])
    assert loss_of(model, "price", 1) == "mae"
    assert loss_of(model, "price", 2) is None


def test_each_output_becomes_probabilities_by_its_own_loss(in_order):
    probabilities = as_probabilities(in_order, {"zero": LOGITS, "alpha": LOGITS})
    np.testing.assert_allclose(probabilities["zero"], 1 / (1 + np.exp(-LOGITS)))
    np.testing.assert_array_equal(probabilities["alpha"], LOGITS)
