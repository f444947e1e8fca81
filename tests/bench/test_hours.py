"""`bench --gpu-hours`: all searches of a benchmark use one budget."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.tracking.writer import searches
from tuning.bench.hours import Hours
from tuning.ledger.usage import AttemptUsage, keep_usage
from tuning.search.budget.compute_budget import Limits
from tuning.trial import Proposal, Status, TrialResult


@pytest.fixture
def two(tmp_path):
    """Two searches of a benchmark, by their files."""
    return [searches.search(tmp_path, engine=engine) for engine in ("optuna:tpe", "optuna:random")]


@pytest.fixture
def hours(two):
    """An account of 100 GPU-seconds, which looks each time that it is asked."""
    clock = iter(range(0, 1000, 10))
    found = [SimpleNamespace(folder=files.folder) for files in two]
    return Hours(Limits(gpu_s=100.0), found, clock=lambda: float(next(clock)))


def end_trial(files, number, **used):
    files.write_spec(Proposal(number, {"n_hidden": 1}, 3))
    files.write_result(replace(TrialResult(number, Status.COMPLETED, 0.5), **used))


def test_trials_of_all_searches_and_open_ones_are_counted(two, hours):
    assert not hours.are_used_up()
    end_trial(two[0], 0, gpu_s=60.0)
    end_trial(two[1], 0, gpu_s=30.0, cpu_s=500.0)
    assert not hours.are_used_up()

    two[1].write_spec(Proposal(1, {"n_hidden": 1}, 3))
    two[1].begin_attempt(1)
    usage = AttemptUsage(attempt=1, seconds=10.0, cpu_s=9.0, gpu_s=10.0)
    keep_usage(two[1].trial_folder(1), usage)
    assert hours.are_used_up()
    assert hours.refused == ("--gpu-hours: 100 s of 100 s are used; a larger one goes on from here")


def test_a_result_takes_the_place_of_what_its_attempts_had_used(two, hours):
    two[0].write_spec(Proposal(0, {"n_hidden": 1}, 3))
    two[0].begin_attempt(0)
    usage = AttemptUsage(attempt=1, seconds=10.0, cpu_s=9.0, gpu_s=70.0)
    keep_usage(two[0].trial_folder(0), usage)
    assert not hours.are_used_up()
    two[0].write_result(replace(TrialResult(0, Status.COMPLETED, 0.5), gpu_s=80.0))
    assert not hours.are_used_up()


def test_files_are_not_looked_at_more_than_once_in_two_seconds(two):
    clock = iter([0.0, 0.0, 1.0, 2.0])
    found = [SimpleNamespace(folder=two[0].folder)]
    hours = Hours(Limits(gpu_s=1.0), found, clock=lambda: next(clock))
    assert not hours.are_used_up()
    end_trial(two[0], 0, gpu_s=60.0)
    assert [hours.are_used_up(), hours.are_used_up()] == [False, True]
