"""Gradient descent as the courses calculate it by hand, with the optimizers that builders use."""

import keras
import pytest

from tuning.builders.tasks import make_optimizer


def descend(rate, start, steps=1):
    """Where x² is after some steps of plain gradient descent."""
    x, optimizer = keras.Variable(float(start)), make_optimizer("sgd", rate)
    for _ in range(steps):
        optimizer.apply([2 * x.value], [x])
    return float(x.value)


@pytest.mark.parametrize("start", [-10, 0.3, 7])
def test_on_x_squared_a_rate_of_one_half_is_there_in_one_step_from_anywhere(start):
    assert descend(0.5, start) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("rate", "grows"), [(0.9, False), (1.01, True)])
def test_on_x_squared_a_rate_above_one_diverges(rate, grows):
    assert (abs(descend(rate, 1, 50)) > 1) is grows


def test_from_minus_ten_the_smallest_rate_that_is_flat_after_20_steps_is_known():
    assert abs(2 * descend(0.1953, -10, 20)) <= 0.001
    assert abs(2 * descend(0.1952, -10, 20)) > 0.001
