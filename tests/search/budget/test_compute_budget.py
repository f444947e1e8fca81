"""`--gpu-hours`: which trials are admitted, and how a search ends by it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.scripted import (
    RECORD,
    ScriptedEngine,
    ScriptedExecutor,
    files_in,
    make_loop,
)
from tuning.ledger.usage import Usage
from tuning.search.budget.compute_budget import ComputeBudget, Limits, planned_epochs
from tuning.search.open_trials import OpenTrial
from tuning.search.stop_request import StopRequest
from tuning.trial import Proposal, Status, TrialResult


def budget(gpu_s, results=(), n_slots=2, earlier=0.0):
    by_number = {result.number: result for result in results}
    account = ComputeBudget(
        Limits(gpu_s=gpu_s),
        n_slots=lambda: n_slots,
        result_of=by_number.get,
        used_before=lambda trial: Usage(gpu_s=earlier),
    )
    account.see(by_number, {number: Proposal(number, {}, 10) for number in by_number})
    return account


def ended(number, gpu_s, status=Status.COMPLETED, **fields):
    return TrialResult(number, status, 1.0, gpu_s=gpu_s, **fields)


def running(number, epochs=10):
    return OpenTrial(Proposal(number, {}, epochs), attempt=1, slot="GPU-a")


def test_a_trial_is_admitted_up_to_the_epochs_that_are_left():
    account = budget(100.0, [ended(0, 50.0)])  # 5 s an epoch
    assert account.admits(Proposal(1, {}, 10), {}, [])
    assert not account.admits(Proposal(1, {}, 11), {}, [])
    assert account.refused == (
        "--gpu-hours: 50 s of 100 s are used, and the next trial would take about 55 s"
    )


def test_open_trials_have_their_part_of_what_is_left():
    account = budget(100.0, [ended(0, 50.0)])
    assert not account.admits(Proposal(2, {}, 5), {}, [running(1, epochs=6)])
    assert not account.refused  # it may end sooner, and leave enough
    assert account.admits(Proposal(2, {}, 5), {}, [running(1, epochs=5)])


def test_a_rung_counts_the_epochs_of_its_own():
    parent = Proposal(0, {}, 9)
    proposals = {0: parent}
    rung = Proposal(1, {}, 27, 0)
    assert planned_epochs(rung, proposals) == 18
    assert planned_epochs(replace(rung, continued=False), proposals) == 27


def test_three_of_four_trials_are_expected_to_take_less():
    results = [ended(number, gpu_s) for number, gpu_s in enumerate((10.0, 20.0, 30.0, 400.0))]
    account = budget(500.0, results)  # 460 s are used, 3 s an epoch
    assert account.admits(Proposal(4, {}, 13), {}, [])
    assert not account.admits(Proposal(4, {}, 14), {}, [])


def test_what_failed_is_paid_for_and_tells_nothing_of_an_epoch():
    account = budget(100.0, [ended(0, 99.0, Status.FAILED)])
    assert account.admits(Proposal(1, {}, 1000), {}, [])
    assert not budget(100.0, [ended(0, 100.0, Status.FAILED)]).admits(Proposal(1, {}, 1), {}, [])


def test_a_copied_result_tells_nothing_of_an_epoch():
    account = budget(100.0, [ended(0, 50.0), ended(1, 0.0, copied_from=0)])
    assert not account.admits(Proposal(2, {}, 11), {}, [])


def test_before_the_first_trial_has_ended_each_slot_is_given_one():
    account = budget(100.0)
    assert account.admits(Proposal(1, {}, 10), {}, [running(0)])
    assert not account.admits(Proposal(2, {}, 10), {}, [running(0), running(1)])


def test_what_earlier_attempts_have_used_counts():
    account = budget(100.0, [ended(0, 50.0)], earlier=50.0)
    assert account.is_exceeded([running(1)])
    assert not budget(100.0, [ended(0, 50.0)]).is_exceeded([running(1)])


@pytest.mark.parametrize("slots", [1, 3])
def test_a_search_ends_where_the_next_trial_does_not_fit_and_a_larger_budget_goes_on(
    tmp_path, slots
):
    def search(gpu_s):
        """Run trials of 2 epochs that use 20 GPU-seconds each."""
        files = files_in(tmp_path)
        write = files.write_result
        files.write_result = lambda result: write(replace(result, gpu_s=20.0))
        stop_request = StopRequest()
        account = ComputeBudget(
            Limits(gpu_s=gpu_s),
            n_slots=lambda: slots,
            result_of=files.result,
            used_before=lambda trial: Usage(),
        )

        def admits(proposal):
            index = loop.trial_index
            account.see(index.results, index.proposals)
            return account.admits(proposal, index.proposals, loop.open.values())

        loop = make_loop(
            ScriptedEngine(),
            ScriptedExecutor(files, slots),
            replace(RECORD, trials=20),
            stop_request=stop_request,
            admits=admits,
        )
        stop_request.end_when(lambda: account.is_exceeded(loop.open.values()))
        loop.replay()
        loop.run()
        return loop

    loop = search(110.0)
    assert (loop.ended, len(loop.trial_index.results), loop.open) == ("budget", 5, {})
    loop = search(150.0)  # what ran before counts
    assert (loop.ended, len(loop.trial_index.results)) == ("budget", 7)
