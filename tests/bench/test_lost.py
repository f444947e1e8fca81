"""A trial that took its worker along: when it has failed, and what it is charged."""

from __future__ import annotations

import time

import pytest

from tuning.bench.lost import LastReport, record_lost_trial
from tuning.bench.meter import cost_of
from tuning.ledger.search import SearchFiles
from tuning.trial import Proposal, Status, TrialResult


def proposed(folder, number=0):
    files = SearchFiles(folder)
    files.write_spec(Proposal(number, {"lr": 0.1}, 4))
    files.begin_attempt(number)
    return files


def test_a_trial_that_takes_its_worker_with_it_too_often_has_failed(tmp_path):
    files = proposed(tmp_path)
    assert record_lost_trial(tmp_path, "worker killed: by SIGKILL", 2, final=False)
    assert files.result(0) is None
    files.begin_attempt(0)
    assert record_lost_trial(tmp_path, "worker killed: by SIGKILL", 2, final=False)
    result = files.result(0)
    assert (result.status, result.attempt, result.error) == (
        Status.FAILED,
        2,
        "worker killed: by SIGKILL",
    )


def test_a_worker_lost_before_the_trial_began_again_is_no_trials_fault(tmp_path):
    files = proposed(tmp_path)
    assert record_lost_trial(tmp_path, "worker killed", 2, final=False)
    for _ in range(3):  # of the engine, say, each time that it starts
        assert not record_lost_trial(tmp_path, "worker killed", 2, final=False)
    assert files.result(0) is None
    assert files.deaths(0) == 1


@pytest.mark.parametrize("attempts", [1, 5])
def test_the_second_time_that_memory_runs_out_a_trial_has_failed(tmp_path, attempts):
    files = proposed(tmp_path)
    assert record_lost_trial(tmp_path, "0.5 GB", attempts, final=False, cause="host_oom")
    assert files.result(0) is None
    files.begin_attempt(0)
    assert record_lost_trial(tmp_path, "0.5 GB", attempts, final=False, cause="host_oom")
    assert files.result(0).status is Status.FAILED
    assert files.deaths(0, "host_oom") == 2


def test_a_trial_that_makes_no_progress_has_failed_at_once(tmp_path):
    assert record_lost_trial(proposed(tmp_path).folder, "worker no_progress: 600 s", 3, final=True)
    assert SearchFiles(tmp_path).result(0).status is Status.FAILED


def test_a_worker_lost_between_trials_is_no_trials_fault(tmp_path):
    assert not record_lost_trial(tmp_path, "worker crashed", 1, final=True)
    files = proposed(tmp_path)
    files.write_result(TrialResult(0, Status.COMPLETED, 1.0))
    assert not record_lost_trial(tmp_path, "worker crashed", 1, final=True)


def test_what_it_had_trained_is_charged(tmp_path):
    files = proposed(tmp_path)
    record_lost_trial(
        tmp_path,
        "worker killed",
        1,
        final=True,
        last_report=LastReport(0, time.monotonic() - 30, epochs=3),
    )
    cost = cost_of(files.result(0))
    assert cost.epochs == 3
    assert cost.seconds == pytest.approx(30, abs=1)


def test_it_is_not_charged_what_the_trial_before_had_trained(tmp_path):
    files = proposed(tmp_path, number=1)
    record_lost_trial(
        tmp_path,
        "worker killed",
        1,
        final=True,
        last_report=LastReport(0, time.monotonic() - 30, epochs=3),
    )
    assert cost_of(files.result(1)).epochs == 1
