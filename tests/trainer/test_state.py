"""A training leaves the global random states as it found them."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.trainer import native_steps
from tuning.trainer.state import randomness_kept
from tuning.trainer.train import train

X = np.linspace(-1, 1, 8, dtype="float32")[:, None]


def drawn():
    """Something from each global generator."""
    return (
        random.random(),
        float(np.random.rand()),
        float(keras.random.uniform(())),
        float(tf.random.uniform(())),
    )


def test_what_is_drawn_within_changes_nothing_behind_it():
    keras.utils.set_random_seed(4)
    first = drawn()
    expected = drawn()

    keras.utils.set_random_seed(4)
    assert drawn() == first
    with randomness_kept():
        keras.utils.set_random_seed(9)
        drawn()
    assert drawn() == expected


def _fail_with_another_seed():
    with randomness_kept():
        keras.utils.set_random_seed(9)
        raise ZeroDivisionError


def test_it_is_undone_where_the_training_fails():
    keras.utils.set_random_seed(4)
    expected = drawn()
    keras.utils.set_random_seed(4)
    with pytest.raises(ZeroDivisionError):
        _fail_with_another_seed()
    assert drawn() == expected


def first_weights(trainer, monkeypatch):
    """The first weight of each of two models, the second made when the first is trained."""
    monkeypatch.setattr(native_steps, "MAX_PARAMETERS", 0)
    keras.utils.set_random_seed(42)
    weights = []
    for _ in range(2):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        weights.append(float(model.get_weights()[0][0, 0]))
        if trainer:
            train(model, X, X, trainer=trainer)
    return weights


@pytest.mark.parametrize("trainer", ["fit", "compiled"])
def test_models_made_in_a_loop_begin_as_if_nothing_was_trained(trainer, monkeypatch):
    weights = first_weights(trainer, monkeypatch)
    assert weights == first_weights(None, monkeypatch)
    assert len(set(weights)) == 2
