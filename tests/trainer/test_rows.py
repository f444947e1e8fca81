"""Rows of one array or several, and which of them stay on the device."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.trainer.rows import Rows, class_numbers, on_device

A = np.arange(12.0).reshape(6, 2)
B = np.arange(6)
INPUTS = {"a": A, "b": B}


def test_several_in_the_models_order_get_places_as_names_and_go_to_fit_as_a_tuple():
    rows = Rows([A, B], B)
    assert list(rows.X) == ["0", "1"]
    assert [array is given for array, given in zip(rows.arrays[0], (A, B), strict=True)] == [
        True
    ] * 2


def test_rows_taken_are_those_of_every_array_in_their_order():
    taken = Rows(INPUTS, {"y": B}, {"y": A[:, 0]}).take(np.array([4, 1]))
    assert len(taken) == 2
    assert taken.y["y"].tolist() == [4, 1]
    assert taken.weight["y"].tolist() == [8.0, 2.0]
    np.testing.assert_array_equal(taken.X["a"], A[[4, 1]])


def test_an_array_with_other_rows_is_refused_wherever_it_is():
    with pytest.raises(ValueError, match=r"row by row; received \[6, 5, 6\] rows of them"):
        Rows({"a": A, "b": B[:5]}, B)


def test_weights_of_unknown_outputs_are_refused_with_the_outputs_there_are():
    with pytest.raises(ValueError, match=r"weights of z; the outputs are y$"):
        Rows(A, {"y": B}, {"z": B})


def test_one_weight_counts_for_each_output():
    _, y, weight = Rows(A, {"y": B, "z": B}, A[:, 0]).tensors()
    assert y.keys() == weight.keys()
    assert weight["y"] is weight["z"]


def test_floats_become_keras_own_and_texts_become_text_tensors():
    assert on_device(A).dtype == keras.config.floatx()
    assert on_device(B).dtype == tf.int64
    texts = np.array(["a", "bc"])
    for array in (texts, texts.astype(object), texts.astype("S")):
        assert on_device(array).numpy().tolist() == [b"a", b"bc"]


def test_a_read_only_view_of_what_others_change_is_moved_each_time():
    view = A.copy()[:]
    owner = view.base
    view.flags.writeable = False
    on_device(view)
    owner[0] = 99.0
    np.testing.assert_array_equal(on_device(view)[0], [99.0, 99.0])


def test_a_view_of_what_nobody_can_change_is_moved_once():
    owner = A.copy()
    owner.flags.writeable = False
    view = owner[1:]
    assert on_device(view) is on_device(view)
    assert on_device(owner) is on_device(owner)


def test_an_array_changed_while_its_protection_was_lifted_is_moved_again():
    array = np.arange(30_000, dtype="float32").reshape(-1, 3)
    array.flags.writeable = False
    on_device(array)
    for first, second in ((0, 1), (0, 9_999), (9_998, 9_999)):  # the same numbers elsewhere
        array.flags.writeable = True
        array[[first, second]] = array[[second, first]]
        array.flags.writeable = False
        np.testing.assert_array_equal(on_device(array), array)


def test_an_array_is_moved_again_where_keras_computes_in_another_precision():
    array = np.array([0.1])
    array.flags.writeable = False
    on_device(array)
    keras.config.set_floatx("float64")
    try:
        assert on_device(array).dtype == tf.float64
    finally:
        keras.config.set_floatx("float32")
    assert on_device(array).dtype == tf.float32


@pytest.mark.parametrize("y", [np.array(["no", "yes"]), np.zeros((2, 3, 1))])
def test_class_weights_of_what_is_no_class_number_are_refused(y):
    with pytest.raises(ValueError, match="class_weight is by class number: y must be numbers"):
        class_numbers(y)
