"""By how much a winner beats the linear baseline, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.ledger.winner import Margin
from tuning.scoring.measure import measure_of
from tuning.study.objective import BETTER, Objective
from tuning.trials.verdict import margin as margins

RNG = np.random.default_rng(0)


def margin(metric, task, y, winner, other, weight=None):
    objective = Objective(f"val_{metric}", BETTER[metric])
    rivals = margins.Rivals(y, winner, other, weight)
    return margins.margin(measure_of(objective, task), objective, rivals)


def test_the_error_of_a_difference_in_accuracy_is_that_of_the_paired_rows():
    y = RNG.integers(0, 2, 300)
    ours, theirs = (np.clip(y + RNG.normal(0, spread, 300), 0, 1)[:, None] for spread in (0.4, 0.6))
    ours_right, theirs_right = ((p[:, 0] > 0.5) == y for p in (ours, theirs))
    by_row = ours_right.astype(float) - theirs_right

    by_accuracy = margin("accuracy", "binary", y, ours, theirs)
    assert by_accuracy.difference == pytest.approx(by_row.mean())
    assert by_accuracy.standard_error == pytest.approx(by_row.std() / 300**0.5, rel=0.15)


def test_a_lower_rmse_is_a_margin_above_zero():
    y = RNG.normal(size=200)
    ours, theirs = (y + spread * RNG.normal(size=200) for spread in (0.2, 0.8))
    by_rmse = margin("rmse", "regression", y, ours[:, None], theirs[:, None])
    assert 0.4 < by_rmse.difference < 0.8
    assert 0 < by_rmse.standard_error < 0.1


def test_predictions_that_are_alike_share_their_luck():
    y = RNG.normal(size=200)
    theirs = y + RNG.normal(size=200)
    close = theirs + 0.01 * RNG.normal(size=200)
    independent = y + RNG.normal(size=200)
    alike = margin("rmse", "regression", y, close[:, None], theirs[:, None])
    other = margin("rmse", "regression", y, independent[:, None], theirs[:, None])
    assert alike.standard_error < other.standard_error / 20


def test_equal_predictions_differ_by_nothing_for_sure():
    y = np.arange(60) % 3
    p = np.eye(3)[y]
    assert margin("auc", "multiclass", y, p, p) == Margin(difference=0.0, standard_error=0.0)


def test_the_same_predictions_have_the_same_margin():
    y = RNG.normal(size=50)
    ours = RNG.normal(size=(50, 1))
    theirs = RNG.normal(size=(50, 1))
    first = margin("mae", "regression", y, ours, theirs)
    assert margin("mae", "regression", y, ours, theirs) == first


def test_weights_count_in_the_margin():
    y = np.array([0, 1] * 30)
    ours, theirs = np.tile([[0.2], [0.3]], (30, 1)), np.tile([[0.9], [0.8]], (30, 1))
    weight = np.tile([3.0, 1.0], 30)
    assert margin("accuracy", "binary", y, ours, theirs).difference == 0.0
    assert margin("accuracy", "binary", y, ours, theirs, weight).difference == 0.5


def test_a_metric_without_a_value_has_no_margin():
    assert margin("auc", "binary", np.ones(5), np.ones((5, 1)), np.ones((5, 1))) is None
