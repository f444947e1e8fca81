"""What a search may use, and what it has used."""

from __future__ import annotations

import pytest

from tests.trials.small_study import study
from tuning.bench import budget as budgets
from tuning.bench.budget import MOST_TRIALS, Budget, Cost, Meter
from tuning.engines.scikit_search import candidates_within, rounds
from tuning.trial import Status, TrialResult

EPOCHS = Budget("epochs", 10)


def ended(number, epochs, **fields):
    return TrialResult(
        number,
        fields.pop("status", Status.COMPLETED),
        epochs=epochs,
        training_s=epochs / 10,
        **fields,
    )


def train(meter, epochs, fits=1):
    """Train until the meter stops it; return the epochs it let through."""
    meter.begin()
    return next((epoch for epoch in range(epochs) if meter.epoch(fits)), epochs)


def test_trials_count_with_what_they_cost_whatever_came_of_them():
    meter = Meter(EPOCHS)
    for number, status in enumerate([Status.COMPLETED, Status.PRUNED, Status.DIVERGED]):
        assert not meter.enough
        meter.end(ended(number, 3, status=status))
    meter.end(ended(3, 1))
    assert meter.enough


def test_the_trial_that_would_exceed_the_budget_is_stopped_one_epoch_beyond_it():
    meter = Meter(EPOCHS)
    meter.end(ended(0, 7))
    assert train(meter, 9) == 3
    assert (meter.stopped.epochs, meter.enough) == (10, True)


def test_the_trial_that_ends_just_when_the_budget_does_is_whole():
    meter = Meter(EPOCHS)
    assert train(meter, 10) == 10
    assert not meter.enough  # it is not told yet
    meter.end(ended(0, 10))
    assert (meter.stopped, meter.enough) == (None, True)


def test_folds_in_lock_step_count_one_epoch_each():
    assert train(Meter(EPOCHS), 9, fits=3) == 3


def test_a_copied_result_costs_what_the_original_did_and_a_failure_one_epoch():
    meter = Meter(EPOCHS)
    meter.end(ended(0, 4))
    meter.end(ended(1, 0, copied_from=0))
    meter.end(ended(2, 0, status=Status.FAILED, seconds=2.0))
    assert meter.ended == {0: Cost(4, 0.4), 1: Cost(4, 0.4), 2: Cost(1, 2.0)}


def test_seconds_are_those_of_training_and_end_a_running_trial(monkeypatch):
    clock = iter([0.0, 0.5, 0.9])
    monkeypatch.setattr(budgets.time, "perf_counter", lambda: next(clock))
    meter = Meter(Budget("time", 1.0))
    meter.end(ended(0, 2))
    assert train(meter, 9) == 1
    assert meter.stopped == Cost(4, 1.0)


def test_a_budget_of_trials_is_the_loops_own():
    meter = Meter(Budget("trials", 1))
    meter.end(ended(0, 1000))
    assert (train(meter, 50), meter.enough) == (50, False)


@pytest.mark.parametrize(
    ("engine", "budget", "trials"),
    [
        ("optuna:tpe", Budget("epochs", 400), MOST_TRIALS),
        ("keras-tuner:hyperband", Budget("time", 60), MOST_TRIALS),
        ("optuna:tpe", Budget("trials", 7), 7),
        ("gridsearchcv", Budget("epochs", 400), 8),
        ("gridsearchcv", Budget("trials", 7), 7),
        ("gridsearchcv", Budget("time", 60), 12),
    ],
)
def test_engines_that_plan_ahead_get_what_the_budget_pays_for(engine, budget, trials):
    assert budget.trials_for(study(engine=engine, epochs=100, patience=10, trials=12)) == trials


def test_the_rungs_of_a_halving_search_fit_into_its_budget():
    trials = Budget("epochs", 400).trials_for(study(engine="halvingrandomsearchcv", epochs=100))
    planned = sum(size * epochs for size, epochs in rounds(candidates_within(trials, 100), 100))
    assert 300 < planned <= 400


@pytest.mark.parametrize(
    ("budget", "text", "words"),
    [
        (EPOCHS, "epochs=10", "10 epochs"),
        (Budget("time", 90.0), "time=90s", "90 seconds of training"),
        (Budget("trials", 100000), "trials=100000", "100000 trials"),
    ],
)
def test_a_budget_reads_as_it_is_given(budget, text, words):
    assert (budget.text, budget.words) == (text, words)
