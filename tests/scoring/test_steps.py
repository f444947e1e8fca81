"""Scores of sequences: padded steps are looked at by no metric."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, median_absolute_error, root_mean_squared_error

from tuning import Minimize
from tuning.scoring.measure import measure_of
from tuning.study.objective import Maximize

RNG = np.random.default_rng(0)
IS_STEP = np.arange(6) < RNG.integers(1, 7, 20)[:, None]
CHANCES = RNG.dirichlet(np.ones(3), (20, 6))
CLASSES = RNG.integers(0, 3, (20, 6))
NUMBERS = RNG.normal(size=(20, 6, 2))
GUESSES = RNG.normal(size=(20, 6, 2))


def test_classes_of_padded_steps_are_not_counted():
    measure = measure_of(Maximize("val_accuracy"), "multiclass")
    expected = accuracy_score(CLASSES[IS_STEP], CHANCES[IS_STEP].argmax(-1))
    assert measure(CLASSES, CHANCES, IS_STEP.astype(float)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "function"), [("rmse", root_mean_squared_error), ("medae", median_absolute_error)]
)
def test_numbers_of_padded_steps_are_not_compared(name, function):
    measure = measure_of(Minimize(f"val_{name}"), "regression")
    wild = np.where(IS_STEP[:, :, None], GUESSES, 1e6)
    expected = function(NUMBERS[IS_STEP].ravel(), GUESSES[IS_STEP].ravel())
    assert measure(NUMBERS, wild, IS_STEP.astype(float)) == pytest.approx(expected)


def test_weights_of_steps_weigh_their_answers():
    weight = IS_STEP * RNG.uniform(1, 3, (20, 1))
    measure = measure_of(Maximize("val_accuracy"), "multiclass")
    expected = accuracy_score(
        CLASSES.ravel(), CHANCES.reshape(-1, 3).argmax(-1), sample_weight=weight.ravel()
    )
    assert measure(CLASSES, CHANCES, weight) == pytest.approx(expected)


def test_a_function_of_ones_own_sees_no_padding():
    def cost(y_true, y_pred):
        return float(len(np.ravel(y_true)))

    measure = measure_of(Minimize(cost), "multiclass")
    assert measure(CLASSES, CHANCES, IS_STEP.astype(float)) == IS_STEP.sum()


def test_rows_without_any_step_have_no_value():
    measure = measure_of(Minimize("val_rmse"), "regression")
    assert np.isnan(measure(NUMBERS, GUESSES, np.zeros((20, 6))))


def test_a_weight_that_all_answers_of_a_row_share_is_the_rows():
    weight = RNG.uniform(1, 3, 20)
    measure = measure_of(Maximize("val_r2"), "regression")
    of_answers = np.repeat(weight[:, None], 6, axis=1)
    assert measure(NUMBERS, GUESSES, of_answers) == measure(NUMBERS, GUESSES, weight)
