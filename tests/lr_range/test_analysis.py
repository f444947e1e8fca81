"""Suggestions from curves made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tuning.lr_range.analysis import SeedSweep, analyse, length_before_divergence, smoothed
from tuning.lr_range.result import DEFINITIONS, LRRange

LRS = np.geomspace(1e-5, 1.0, 500)


def curve(fall_at: float = 1e-2, rise_at: float = 0.3) -> np.ndarray:
    """A loss that falls from 5 to 1 around one rate and explodes after another."""
    return 1 + 4 / (1 + (LRS / fall_at) ** 2) + (LRS / rise_at) ** 6


def analysed(*sweeps: SeedSweep, bounds=(1e-5, 1.0)) -> LRRange:
    return analyse(LRS, sweeps, bounds, batch_size=32)


def test_the_moving_average_of_a_constant_is_that_constant_from_the_first_point_on():
    assert smoothed(np.full(50, 3.0), 500) == pytest.approx(3.0)


def test_a_smoothed_curve_diverges_at_four_times_its_best():
    line = np.concatenate([np.full(50, 2.0), np.linspace(2.0, 10.0, 101)])
    assert length_before_divergence(line) == 50 + 76  # the first point above 8


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_ends_the_curve(bad):
    line = np.ones(100)
    line[60:] = bad
    assert length_before_divergence(line) == 60


def test_an_early_low_batch_is_not_taken_for_the_best():
    line = np.full(200, 5.0)
    line[0] = 0.01
    assert length_before_divergence(smoothed(line, 200)) == 200


def test_a_loss_that_falls_below_zero_does_not_diverge_by_crossing_it():
    line = np.linspace(3.0, -3.0, 200)
    assert length_before_divergence(line) == 200


def test_each_suggestion_is_where_its_definition_says():
    test = analysed(SeedSweep(curve(), 0.25))
    # The fall is at 1e-2, and the average lags a little.
    assert 5e-3 < test.suggestions["steepest"] < 2.5e-2
    assert 1e-4 < test.suggestions["valley"] < 1e-2
    assert test.suggestions["min_over_10"] == pytest.approx(test.lrs[test.losses.argmin()] / 10)
    assert test.suggestions["largest_stable"] == 0.25
    assert test.diverged
    assert test.reasons == {}


def test_the_interval_is_the_decade_below_the_middle_of_the_trough():
    test = analysed(SeedSweep(curve(), 0.9))
    low, high = test.interval
    trough = test.lrs[test.losses <= 1 + 0.05 * 4 + 0.01]
    assert high == pytest.approx((trough[0] * trough[-1]) ** 0.5, rel=0.1)
    assert high / low == pytest.approx(10)


def test_the_interval_ends_at_the_largest_stable_rate_where_that_is_lower():
    assert analysed(SeedSweep(curve(), 0.05)).interval == pytest.approx((0.005, 0.05))


def test_a_dent_in_a_flat_trough_does_not_move_the_interval():
    flat = curve(fall_at=1e-3)
    dented = flat.copy()
    dented[np.argmin(np.abs(LRS - 0.02))] -= 1.0
    smooth, bumpy = (analysed(SeedSweep(losses, 0.9)) for losses in (flat, dented))
    assert bumpy.suggestions["min_over_10"] < 0.5 * smooth.suggestions["min_over_10"]
    assert bumpy.interval[1] == pytest.approx(smooth.interval[1], rel=0.15)


@pytest.mark.parametrize("stable", [2e-5, 1.0])
def test_the_interval_stays_inside_the_sweep(stable):
    low, high = analysed(SeedSweep(curve(rise_at=1e6), stable)).interval
    assert LRS[0] <= low < high <= LRS[-1]


def test_a_curve_that_falls_to_the_end_says_so():
    test = analysed(SeedSweep(curve(rise_at=1e6), 1.0, "nothing diverged"))
    assert not test.diverged
    reason = "the loss still fell at 1, so this is a tenth of the highest rate tried"
    assert test.reasons["min_over_10"] == reason
    assert test.reasons["largest_stable"] == "nothing diverged"


def test_one_wild_seed_of_three_changes_the_band_and_not_the_median():
    wild = curve()
    wild[250:] = np.nan
    calm = analysed(*[SeedSweep(curve(), 0.2)] * 3)
    test = analysed(SeedSweep(curve(), 0.2), SeedSweep(wild[:251], 1e-4), SeedSweep(curve(), 0.2))
    assert test.suggestions == calm.suggestions
    assert np.array_equal(test.losses, calm.losses)
    assert len(test.low) == len(test.high) == len(test.lrs) == len(calm.lrs)


def test_the_band_holds_the_median():
    rng = np.random.default_rng(0)
    test = analysed(*[SeedSweep(curve() * rng.uniform(0.8, 1.2, len(LRS)), 0.2) for _ in range(5)])
    assert np.all(test.low <= test.losses)
    assert np.all(test.losses <= test.high)


def test_a_sweep_that_begins_with_a_loss_that_is_not_finite_has_reasons_for_everything():
    test = analysed(SeedSweep(np.array([np.nan]), 1e-5, "no rate was stable"), bounds=(1e-4, 1e-2))
    assert test.reasons.keys() == test.suggestions.keys() == DEFINITIONS.keys()
    assert test.suggestions["valley"] == pytest.approx(1e-3)
    assert test.reasons["valley"].endswith("; this is the middle of 0.0001 … 0.01")
    assert test.interval == (1e-4, 1e-2)


def test_a_test_survives_json():
    test = analysed(SeedSweep(curve(), 0.25))
    stored = json.loads(json.dumps(test.to_json()))
    assert stored["definitions"].keys() == stored["suggestions"].keys()
    again = LRRange.from_json(stored)
    assert again.to_json() == test.to_json()
    assert again.interval == test.interval


def test_a_curve_that_diverges_at_its_seventh_rate_has_an_interval():
    rates = np.geomspace(1e-4, 10.0, 50)
    losses = np.concatenate([np.linspace(5.0, 3.0, 7), np.full(43, np.nan)])
    test = analyse(rates, [SeedSweep(losses, 5e-4, "")], (1e-4, 10.0), batch_size=32)
    assert test.interval == pytest.approx((1e-4, 1e-3))  # never less than a decade
