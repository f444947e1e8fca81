"""How an input is prepared: by what its numbers mean and what reads it."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.builders.inputs.preparation import AsTheyAre, Pixels, decide_one, fitted_one

FLOATS = np.ones((4, 3))
WHOLE = np.ones((4, 3), np.int64)
IMAGES = np.full((4, 2, 2), 255, np.uint8)
TEXTS = np.array(["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("X", "first_layer", "how"),
    [
        (FLOATS, "", "standardise"),
        (FLOATS, "own", "leave"),
        (FLOATS, "mask", "leave"),
        (WHOLE, "", "standardise"),
        (WHOLE, "lookup", "leave"),
        (WHOLE.astype(bool), "", "cast"),
        (IMAGES, "", "pixels"),
        (IMAGES, "own", "leave"),
        (IMAGES[:, 0], "", "standardise"),
        (TEXTS, "", "leave"),
    ],
)
def test_auto_goes_by_meaning_and_reader(X, first_layer, how):
    assert decide_one(X, "auto", first_layer) == how


@pytest.mark.parametrize(("scale", "how"), [(True, "standardise"), (False, "cast")])
def test_what_a_data_set_says_wins_over_the_reader(scale, how):
    assert decide_one(FLOATS, scale, "lookup") == how
    assert decide_one(TEXTS, scale, "lookup") == "leave"


def test_ids_for_a_lookup_stay_whole_where_nothing_is_scaled():
    assert decide_one(WHOLE, False, "lookup") == "leave"
    assert decide_one(WHOLE, False, "") == "cast"


def test_pixels_are_divided_by_255():
    np.testing.assert_array_equal(Pixels().transform(IMAGES), np.ones((4, 2, 2), np.float32))


def test_whole_numbers_beyond_float32_are_left_whole():
    large = np.array([[2**24 + 1]])
    assert AsTheyAre().transform(large)[0, 0] == 2**24 + 1
    assert fitted_one("leave", large).transform(large).dtype == np.int64
