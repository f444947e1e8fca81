"""What a search has used of its budget, and what a trial costs."""

from __future__ import annotations

from tuning.bench import meter as meters
from tuning.bench.budget import Budget
from tuning.bench.meter import Cost, Meter
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
    assert (meter.stopped_at.epochs, meter.enough) == (10, True)


def test_the_trial_that_ends_just_when_the_budget_does_is_whole():
    meter = Meter(EPOCHS)
    assert train(meter, 10) == 10
    assert not meter.enough  # it is not told yet
    meter.end(ended(0, 10))
    assert (meter.stopped_at, meter.enough) == (None, True)


def test_folds_in_lock_step_count_one_epoch_each():
    assert train(Meter(EPOCHS), 9, fits=3) == 3


def test_a_copied_result_costs_what_the_original_did_and_a_failure_one_epoch():
    meter = Meter(EPOCHS)
    meter.end(ended(0, 4))
    meter.end(ended(1, 0, copied_from=0))
    meter.end(ended(2, 0, status=Status.FAILED, seconds=2.0))
    assert meter.costs == {0: Cost(4, 0.4), 1: Cost(4, 0.4), 2: Cost(1, 2.0)}


def test_seconds_are_those_of_training_and_end_a_running_trial(monkeypatch):
    clock = iter([0.0, 0.5, 0.9])
    monkeypatch.setattr(meters.time, "perf_counter", lambda: next(clock))
    meter = Meter(Budget("time", 1.0))
    meter.end(ended(0, 2))
    assert train(meter, 9) == 1
    assert meter.stopped_at == Cost(4, 1.0)


def test_a_budget_of_trials_is_the_loops_own():
    meter = Meter(Budget("trials", 1))
    meter.end(ended(0, 1000))
    assert (train(meter, 50), meter.enough) == (50, False)
