"""y as the compiled loss takes it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tuning.builders.losses import adapted
from tuning.builders.targets import form_for, in_form


def own(y, predicted):
    return keras.ops.mean(keras.ops.abs(y - predicted), axis=-1)


@pytest.mark.parametrize(
    ("loss", "settings", "form"),
    [
        ("categorical_crossentropy", {"task": "multiclass"}, "one-hot"),
        (keras.losses.CategoricalCrossentropy(), {"task": "multiclass"}, "one-hot"),
        ("categorical_crossentropy", {"task": "binary", "units": 2}, "one-hot"),
        ("sparse_categorical_crossentropy", {"task": "multiclass", "one_hot": True}, "as it is"),
        (adapted("categorical_crossentropy"), {"task": "multiclass"}, "as it is"),
        (own, {"task": "multiclass", "one_hot": True}, "one-hot"),
        (own, {"task": "multiclass"}, "as it is"),
        (own, {"task": "regression", "n_columns": 0}, "column"),
        (own, {"task": "regression", "n_columns": 1}, "as it is"),
        ("mse", {"task": "regression", "n_columns": 0}, "as it is"),
    ],
)
def test_the_loss_decides_on_the_form(loss, settings, form):
    units = settings.pop("units", 3)
    was_one_hot = settings.pop("one_hot", False)
    assert form_for(loss, units=units, was_one_hot=was_one_hot, **settings) == form


@pytest.mark.parametrize("y", [np.array([0, 2]), np.array([[0], [2]])])
def test_class_numbers_become_one_hot_rows(y):
    np.testing.assert_array_equal(in_form(y, "one-hot", 3), [[1, 0, 0], [0, 0, 1]])


def test_the_class_of_each_step_becomes_a_row_of_its_own():
    assert in_form(np.array([[0, 2], [1, 1]]), "one-hot", 3).shape == (2, 2, 3)
