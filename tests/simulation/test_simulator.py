"""The simulated executor: slots, times, answers, crashes, preemptions, on its own clock."""

import heapq
from types import SimpleNamespace

import numpy as np
import pytest

from tests.simulation.recorded import GRID, LINE, replayed
from tuning.executors.base import Died, Finished, Job, Reported, Started
from tuning.simulation.outcomes import Training
from tuning.simulation.simulator import AWAY_S, Faults, SimulatedExecutor
from tuning.study.objective import Minimize
from tuning.trial import Proposal, Status

LONG = [100.0, 200.0, 300.0]


def training(ends=(1.0, 2.0, 3.0), overhead_s=0.0, status=Status.COMPLETED):
    values = [10.0 - epoch for epoch in range(len(ends))]
    return Training(
        objective=Minimize("val_loss"),
        ends=ends,
        values=values,
        folds=[values],
        lengths=[len(ends)],
        best=[len(ends)],
        overhead_s=overhead_s,
        status=status,
    )


def job(number, attempt=1, *, epochs=3, parent=0, verdict=False):
    return Job(
        f"{number}-{attempt}",
        "",
        (Proposal(number, {}, epochs), attempt, parent),
        wants_answer=verdict,
    )


def executor(size=1, train=training, faults=Faults(), seed=0):  # noqa: B008 - frozen
    return SimulatedExecutor(size, lambda proposal: train(), faults, np.random.default_rng(seed))


def drain(run, verdict=lambda report: "continue"):
    """Everything that happens until nothing does, as (kind, job, time)."""
    seen = []
    while events := run.events(0.0):
        for event in events:
            seen.append((type(event).__name__, event.job, run.now))
            if isinstance(event, Reported):
                run.answer(event.job, verdict(event.report))
    return seen


def test_trials_wait_for_a_slot_and_take_their_recorded_time():
    run = executor(2, lambda: training(overhead_s=0.5))
    for number in range(3):
        run.submit(job(number))
    ends = [(name, at) for kind, name, at in drain(run) if kind == "Finished"]
    assert ends == [("0-1", 3.5), ("1-1", 3.5), ("2-1", 7.0)]
    assert run.busy_s == 3 * 3.5
    assert run.epochs == 9


def test_a_trial_tells_on_which_slot_it_runs():
    run = executor(2)
    run.submit(job(0))
    run.submit(job(1))
    started = [event.slot for event in run.events(0.0) if isinstance(event, Started)]
    assert started == ["slot:0", "slot:1"]


def test_epochs_are_reported_one_by_one_where_a_verdict_is_wanted():
    run = executor()
    run.submit(job(0, verdict=True))
    assert [(kind, at) for kind, _, at in drain(run)] == [
        ("Started", 1.0),
        ("Reported", 1.0),
        ("Reported", 2.0),
        ("Reported", 3.0),
        ("Finished", 3.0),
    ]


@pytest.mark.parametrize("at", [2, 3])
def test_a_pruned_trial_ends_at_its_epoch_with_its_value(at):
    run = executor()
    run.submit(job(0, verdict=True))
    results = []
    while events := run.events(0.0):
        for event in events:
            if isinstance(event, Reported):
                run.answer(event.job, "prune" if event.report.epoch == at else "continue")
            elif isinstance(event, Finished):
                results.append((event.value.status, event.value.value, run.now))
    assert results == [(Status.PRUNED, 11.0 - at, float(at))]


def test_the_epoch_a_trial_diverges_at_is_not_reported():
    run = executor(train=lambda: training(status=Status.DIVERGED))
    run.submit(job(0, verdict=True))
    assert [kind for kind, _, _ in drain(run)] == ["Started", "Reported", "Reported", "Finished"]


def test_a_continued_trial_takes_the_time_of_its_own_epochs():
    run = executor(train=lambda: training(overhead_s=0.25))
    run.submit(job(1, parent=2))
    assert drain(run)[-1] == ("Finished", "1-1", 1.25)
    assert run.epochs == 1


def test_every_attempt_crashes_at_rate_one_and_costs_its_time():
    run = executor(faults=Faults(crash_rate=1.0))
    run.submit(job(0))
    died = drain(run)[-1]
    assert died[0] == "Died"
    assert 0 < died[2] < 3
    assert run.lost_s == run.busy_s == died[2]


def test_an_attempt_after_a_crash_goes_on_from_the_last_checkpoint():
    run = executor(train=lambda: training(LONG), faults=Faults(crash_rate=0.5))
    run.rng = SimpleNamespace(random=iter([0.0, 0.5, 0.9]).__next__)  # crash, half way; no crash
    run.submit(job(0))
    assert drain(run)[-1] == ("Died", "0-1", 150.0)
    run.submit(job(0, attempt=2))
    assert drain(run)[-1] == ("Finished", "0-2", 350.0)
    assert run.lost_s == 50.0


def test_a_preempted_trial_goes_on_elsewhere_and_its_slot_comes_back():
    run = executor(train=lambda: training(LONG), faults=Faults(preempt_rate=30.0), seed=5)
    run.submit(job(0))
    seen = drain(run)
    assert seen[-1][:2] == ("Finished", "0-1")
    assert not any(kind == "Died" for kind, _, _ in seen)
    assert run.preemptions >= 1
    assert run.now >= 300 + run.preemptions * AWAY_S
    assert run.busy_s == pytest.approx(300 + run.lost_s)


def test_a_driver_that_is_busy_lets_slots_wait():
    run = executor()
    run.work(2.0)
    run.submit(job(0))
    assert drain(run)[-1][2] == 5.0


def list_scheduling(durations, slots):
    """Greedy: each job, in order, on the slot that is free first."""
    free = [0.0] * slots
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


@pytest.mark.parametrize("slots", [1, 7, 1000])
def test_the_makespan_is_that_of_list_scheduling(tmp_path, slots):
    rng = np.random.default_rng(0)
    points = [{"lr": float(lr)} for lr in np.geomspace(1e-4, 1, 32)]
    spread = dict(
        zip([point["lr"] for point in points], rng.lognormal(sigma=1.0, size=32), strict=True)
    )
    source = replayed(
        tmp_path, LINE, points, seconds=lambda params, epoch: epoch * spread[params["lr"]]
    )
    made = [source.outcomes.training(LINE.sample(rng), 0) for _ in range(1500)]
    run = SimulatedExecutor(slots, lambda proposal: made[proposal.number])
    for number in range(1500):
        run.submit(job(number, epochs=4))
    drain(run)
    by_hand = list_scheduling([one.ends[-1] + one.overhead_s for one in made], slots)
    assert run.now == pytest.approx(by_hand, rel=1e-9)
    assert run.busy_s == pytest.approx(sum(one.ends[-1] + one.overhead_s for one in made))


def test_the_grid_of_a_recording_is_replayed_as_it_is(tmp_path):
    source = replayed(tmp_path)
    assert [source.outcomes.training(point, 0).status for point in GRID.grid()] == [
        Status.COMPLETED
    ] * 6


def test_a_crash_is_told_as_a_worker_that_died():
    run = executor(faults=Faults(crash_rate=1.0))
    run.submit(job(0))
    assert isinstance(run.events(0.0)[-1], Died)
