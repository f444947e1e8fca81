"""Anytime curves on a common grid, their regret, areas and times."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.bench.statistics.curves import run
from tuning.bench.statistics.anytime import (
    Scale,
    area,
    bands,
    finals,
    grid,
    incumbents,
    quantile,
    regret,
    scale_of,
    time_to,
)


def test_the_incumbent_holds_from_the_end_of_its_trial_to_the_next_and_after_the_last():
    at = np.array([5, 10, 19.9, 20, 30, 99])
    assert incumbents([run([3.0, 2.0, 1.0])], at, "epochs")[0].tolist() == [math.inf, 3, 3, 2, 1, 1]


def test_seconds_are_another_grid_of_the_same_runs():
    assert incumbents([run([3.0, 2.0])], np.array([1.9, 2.0, 4.0]), "seconds")[0].tolist() == [
        math.inf,
        3,
        2,
    ]


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_is_no_number_is_worse_than_any(bad, direction):
    assert finals([run([bad], direction=direction), run([], direction=direction)]).tolist() == [
        math.inf,
        math.inf,
    ]


def test_a_score_to_be_maximized_is_turned_so_that_smaller_is_better():
    assert finals([run([0.7, 0.9], direction="maximize")]).tolist() == [-0.9]


def test_the_grid_ends_where_the_longest_run_does():
    runs = [run([1.0]), run([1.0] * 3)]
    assert grid(runs, "epochs", points=3).tolist() == [10, 20, 30]
    assert grid(runs, "seconds", points=2).tolist() == [3, 6]
    assert len(grid(runs, "epochs", points=200)) == 30  # no more points than epochs
    assert len(grid([run([])], "seconds")) == 0


def test_bands_are_quartiles_over_the_seeds_of_each_engine():
    runs = [run([float(seed)], "a", seed) for seed in range(5)] + [run([7.0], "b")]
    first, second = bands(runs, points=1)
    assert (first.engine, first.runs, first.low, first.median, first.high) == (
        "a",
        5,
        (1.0,),
        (2.0,),
        (3.0,),
    )
    assert (second.engine, second.median) == ("b", (7.0,))


def test_the_lower_quartile_is_the_lower_one_when_maximizing_too():
    runs = [run([float(seed)], seed=seed, direction="maximize") for seed in range(5)]
    (band,) = bands(runs, points=1)
    assert (band.low, band.median, band.high) == ((1.0,), (2.0,), (3.0,))


def test_a_band_has_no_end_where_that_quartile_has_completed_nothing():
    runs = [run([None if seed == 4 else float(seed)], seed=seed) for seed in range(4)] + [
        run([None], seed=4)
    ]
    (band,) = bands([*runs, run([None], seed=5)], points=1)
    assert (band.low, band.median, band.high) == ((1.25,), (2.5,), (None,))


def test_bands_of_the_test_score_follow_the_validation_incumbent():
    (band,) = bands([run([2.0, 1.0], tests=(5.0, 6.0))], score="test", points=2)
    assert band.median == (5.0, 6.0)  # worse on the test part, and shown so


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_quantiles_are_numpys_where_all_values_are_finite(share):
    values = np.random.default_rng(0).normal(size=(7, 3))
    assert quantile(values, share) == pytest.approx(np.quantile(values, share, axis=0))


def test_regret_is_0_at_the_best_known_and_1_at_what_one_trial_brings():
    runs = [run([4.0, 2.0]), run([6.0, 3.0], "b")]
    scale = scale_of(runs)
    assert scale == Scale(best=2.0, initial=5.0)
    regrets = regret(runs, np.array([5, 10, 20]), "epochs", scale)
    assert regrets.tolist() == [[1, pytest.approx(2 / 3), 0], [1, 1, pytest.approx(1 / 3)]]


def test_a_known_optimum_is_the_best_unless_a_run_beats_it():
    assert scale_of([run([4.0, 2.0])], best=0.5) == Scale(0.5, 4.0)
    assert scale_of([run([4.0, 0.2])], best=0.5) == Scale(0.2, 4.0)
    assert scale_of([run([0.1, 0.8], direction="maximize")], best=0.9) == Scale(0.9, 0.1)


def test_without_a_completed_trial_there_is_no_scale():
    assert scale_of([run([None, None]), run([])]) is None


def test_where_all_trials_are_equal_regret_is_1_before_and_0_after_the_first():
    runs = [run([1.0, 1.0])]
    assert regret(runs, np.array([5, 10, 20]), "epochs", scale_of(runs)).tolist() == [[1, 0, 0]]


def test_the_area_is_the_mean_regret_over_the_budget():
    runs = [run([4.0, 2.0]), run([None, None], "b"), run([2.0], "c")]
    areas = area(runs, "epochs", Scale(best=2.0, initial=4.0), end=20)
    assert areas.tolist() == [
        1.0,
        1.0,
        0.5,
    ]  # 10 epochs at 1, 10 at 1 · all at 1 · 10 at 1, the rest at 0


def test_the_area_equals_that_of_a_fine_grid():
    chance = np.random.default_rng(0)
    some = run(np.minimum.accumulate(chance.random(30)).tolist())
    at = np.arange(3000) / 10
    scale = Scale(0.0, 1.0)
    assert area([some], "epochs", scale, 300)[0] == pytest.approx(
        regret([some], at, "epochs", scale).mean()
    )


def test_the_time_to_a_target_is_the_end_of_the_trial_that_reaches_it():
    runs = [run([3.0, 2.0, 1.0]), run([3.0])]
    assert time_to(runs, 2.0, "epochs").tolist() == [20, math.inf]
    assert time_to(runs, 2.5, "seconds").tolist() == [4.0, math.inf]
    assert time_to([run([0.5, 0.8], direction="maximize")], 0.8, "epochs").tolist() == [20]
