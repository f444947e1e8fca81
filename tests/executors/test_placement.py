import math
import time
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.placement.boxes import Box, Study, Trial
from benchmarks.placement.outcome import outcome_of
from benchmarks.placement.search import PlannedSearch
from tuning.executors.base import Died, Finished, Job, Started
from tuning.executors.devices.leases import Leases
from tuning.executors.devices.slot import Slot
from tuning.executors.devices.slots import parse_devices
from tuning.executors.local import LocalExecutor
from tuning.executors.placement.model import CostModel, Timing
from tuning.executors.placement.policy import Placement
from tuning.executors.placement.split import Load, Split, best_split
from tuning.executors.placement.work import Work
from tuning.space.domains import Choice, Float, Int

CORES = tuple(Slot(f"cpu:{i}", {"CUDA_VISIBLE_DEVICES": "-1"}, cores=(i,)) for i in range(4))
GPU = Slot("GPU-a", {"CUDA_VISIBLE_DEVICES": "GPU-a"}, cores=(0,))
DOMAINS = {"n": Int(1, 100, log=True), "body": Choice("plain", "conv"), "lr": Float(0.1, 1.0)}


def work(number, n, to_come=100):
    params = {"n": n, "body": "plain", "lr": 0.5}
    return Work(key=str(number), params=params, epochs=10, to_come=to_come)


def timings(cpu_s, gpu_s):
    """Timings of five sizes on both kinds; the seconds are functions of the size."""
    return [
        Timing(
            kind=kind,
            params={"n": n, "body": "plain", "lr": 0.5},
            epoch_s=seconds(n),
            setup_s=0.1,
        )
        for n in (1, 3, 10, 30, 100)
        for kind, seconds in (("cpu", cpu_s), ("gpu", gpu_s))
    ]


def crossing():
    """Cores take longer for large networks, a GPU the same for all: equal at n = 10."""
    return timings(cpu_s=lambda n: 0.1 * n, gpu_s=lambda n: 1.0)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_cost_that_grows_with_a_power_of_a_size_is_found():
    model = CostModel(DOMAINS)
    for n in (1, 2, 5, 10, 20, 50, 100):
        for kind, epoch_s in (("cpu", 0.01 * n**1.5), ("gpu", 0.3)):
            params = {"n": n, "body": "plain", "lr": 0.3}
            model.learn(Timing(kind=kind, params=params, epoch_s=epoch_s, setup_s=2.0))
    (costs,) = model.of([{"n": 35, "body": "plain", "lr": 0.9}])
    assert costs.cpu.epoch_s == pytest.approx(0.01 * 35**1.5, rel=0.3)
    assert costs.gpu.epoch_s == pytest.approx(0.3, rel=0.3)
    assert costs.gpu.setup_s == pytest.approx(2.0)


def test_what_was_never_timed_is_less_certain():
    model = CostModel(DOMAINS)
    for timing in crossing():
        model.learn(timing)
    plain, conv = model.of([{"n": 10, "body": each, "lr": 0.5} for each in ("plain", "conv")])
    assert conv.spread > 2 * plain.spread


def load(cpu_s, gpu_s, **n_slots):
    counts = np.ones(len(cpu_s))
    return Load(
        cpu_s=np.array(cpu_s),
        gpu_s=np.array(gpu_s),
        counts=counts,
        are_sure=counts > 0,
        n_slots=n_slots,
    )


def test_trials_that_gain_most_go_to_the_gpu_until_both_kinds_end_at_once():
    split = best_split(load([1.0] * 10 + [10.0] * 10, [1.0] * 20, cpu=1, gpu=1))
    assert split.seconds == pytest.approx(10.0)
    assert 1.0 < split.gain < 10.0


def test_a_long_trial_is_not_cut_into_pieces():
    split = best_split(load([100.0] * 2, [30.0] * 2, cpu=1, gpu=1))
    assert split.seconds == pytest.approx(60.0)
    assert best_split(load([100.0], [300.0], cpu=50, gpu=1)).seconds == pytest.approx(100.0)


def test_a_kind_without_a_slot_is_given_nothing():
    assert best_split(load([2.0] * 4, [1.0] * 4, cpu=1, gpu=0)) == Split(8.0, math.inf)
    assert best_split(load([2.0] * 4, [1.0] * 4, cpu=0, gpu=1)) == Split(4.0, 0.0)


def test_each_slot_is_given_what_gains_most_there():
    placement = Placement((*CORES[1:], GPU), DOMAINS, crossing(), now=Clock())
    waiting = [work(0, 30), work(1, 1), work(2, 100)]
    first = placement.choose([GPU, CORES[1]], [], waiting)
    assert first == (0, 2)  # the GPU, the largest
    second = placement.choose([CORES[1]], [GPU], waiting[:2])
    assert second == (0, 1)  # the core, the smallest


def test_a_slot_is_left_idle_where_waiting_is_better():
    timed = timings(cpu_s=lambda n: 50.0 * n, gpu_s=lambda n: 0.1)
    placement = Placement((*CORES[1:], GPU), DOMAINS, timed, now=Clock())
    assert placement.choose([CORES[1]], [GPU], [work(0, 100, to_come=0)]) is None


def test_no_slot_is_idle_where_it_pays():
    timed = timings(cpu_s=lambda n: 2.0, gpu_s=lambda n: 1.0)
    placement = Placement((*CORES[1:], GPU), DOMAINS, timed, now=Clock())
    assert placement.choose([CORES[1]], [GPU], [work(0, 10)]) == (0, 0)


def test_a_core_that_feeds_a_gpu_is_used_only_without_it():
    slow_gpu = timings(cpu_s=lambda n: 0.01, gpu_s=lambda n: 5.0)
    placement = Placement((*CORES, GPU), DOMAINS, slow_gpu, now=Clock())
    placement.choose([*CORES, GPU], [], [work(i, 10) for i in range(4)])
    assert placement.mode == "cpu"
    assert placement.used((*CORES, GPU)) == CORES

    placement = Placement((*CORES, GPU), DOMAINS, crossing(), now=Clock())
    placement.choose([*CORES, GPU], [], [work(i, 100 if i % 2 else 1) for i in range(4)])
    assert placement.mode == "both"
    assert placement.used((*CORES, GPU)) == (*CORES[1:], GPU)
    # The GPU is still at work: its core is not given away, nor the other way round.
    assert placement.choose([CORES[0]], [GPU], [work(5, 1)]) is None


def test_a_job_that_says_nothing_of_itself_takes_the_first_slot():
    placement = Placement((*CORES[1:], GPU), DOMAINS, crossing(), now=Clock())
    known = [work(i, 100 if i % 2 else 1) for i in range(4)]
    placement.choose([CORES[1], GPU], [], known)
    assert placement.choose([CORES[1], GPU], [], [None, *known]) == (0, 0)


def test_a_trial_that_is_the_last_by_far_is_moved_once():
    clock = Clock()
    timed = timings(cpu_s=lambda n: 100.0, gpu_s=lambda n: 0.1)
    placement = Placement((CORES[1], GPU), DOMAINS, timed, now=clock)
    last = work(0, 10, to_come=0)
    assert placement.choose([CORES[1], GPU], [], [last]) is not None
    placement.begin("0-1", last, CORES[1])
    placement.choose([GPU], [CORES[1]], [])
    clock.now = 5.0
    assert placement.moves() == ["0-1"]
    placement.end("0-1", None)
    assert placement.choose([CORES[1]], [GPU], [last]) is None
    placement.begin("0-2", last, GPU)
    assert placement.moves() == []


def test_more_trials_are_asked_for_while_one_waits_for_the_other_kind():
    timed = timings(cpu_s=lambda n: 0.01 * n**2, gpu_s=lambda n: 1.0) * 2
    placement = Placement((*CORES, GPU), DOMAINS, timed, now=Clock())
    mixed = [work(i, 100 if i % 2 else 1) for i in range(8)]
    assert placement.choose([CORES[1]], [GPU], mixed) is not None
    assert placement.ahead == 0
    assert placement.choose([CORES[1]], [GPU], [work(1, 100), work(3, 100)]) is None
    assert placement.ahead == 2
    # Never more than there are slots in use.
    waiting = [work(i, 100) for i in range(1, 30, 2)]
    while placement.choose([CORES[1]], [GPU], waiting) is not None:
        waiting.pop()
    assert placement.ahead == min(len(waiting), len(placement.used((*CORES, GPU))))


def test_a_gpu_gets_its_core_back_from_a_trial_on_it():
    clock = Clock()
    placement = Placement((*CORES, GPU), DOMAINS, crossing(), now=clock)
    placement.begin("0-1", work(0, 1000), CORES[0])
    waiting = [work(1, 100), work(2, 1), work(3, 100), work(4, 1)]
    assert placement.choose([GPU], [CORES[0]], waiting) is None
    assert placement.moves() == ["0-1"]
    placement.end("0-1", None)
    assert placement.choose([GPU], [], waiting) is not None


def test_a_trial_is_moved_back_where_that_is_worth_much_more():
    clock = Clock()
    timed = timings(cpu_s=lambda n: 20.0, gpu_s=lambda n: 0.1)
    placement = Placement((CORES[1], GPU), DOMAINS, timed, now=clock)
    last = work(0, 10, to_come=0)
    placement.choose([CORES[1], GPU], [], [last])
    placement.begin("0-1", last, CORES[1])
    placement.choose([GPU], [CORES[1]], [])
    assert placement.moves() == ["0-1"]
    placement.end("0-1", None)
    placement.begin("0-2", last, GPU)
    placement.choose([CORES[1]], [GPU], [])
    # Believed to take a second there: its epochs take ten thousand.
    placement.report("0-2", 1e4, 1)
    placement.report("0-2", 2e4, 1)
    assert placement.moves() == ["0-2"]


def test_one_prediction_that_is_uncertain_is_not_the_end_of_the_search():
    certain = load([10.0] * 4 + [500.0], [1.0] * 4 + [500.0], cpu=4, gpu=1)
    uncertain = replace(certain, are_sure=np.array([True] * 4 + [False]))
    assert best_split(certain).seconds == pytest.approx(500.0)
    assert best_split(uncertain).seconds < 200.0


def box(**speeds):
    standard = {
        "cores": 8,
        "gpus": 1,
        "feeding": 2,
        "launch_s": 1e-4,
        "gpu_flops": 1e13,
        "native_s": 5e-6,
        "native_flops": 1e10,
        "graph_s": 2e-4,
        "graph_flops": 2e10,
        "gpu_setup_s": 3.0,
        "native_setup_s": 0.1,
        "graph_setup_s": 1.5,
    }
    return Box(**(standard | speeds))


def study_on(here, n_trials, **params):
    fixed = {"body": "plain", "n_hidden": 2, "optimizer": "sgd", "batch_size": 32, **params}
    domains = {"n_neurons": Int(1, 4000)}
    trials = []
    for number in range(n_trials):
        point = {**fixed, "n_neurons": fixed["n_neurons"] + number % 5}
        work = Work(key=str(number), params=point, epochs=20, to_come=n_trials - number - 1)
        costs = {kind: here.cost(kind, point, 20_000) for kind in ("cpu", "gpu")}
        trials.append(Trial(work=work, epochs=20, costs=costs))
    return Study(domains=domains, trials=trials, open_per_slot=1)


def test_small_plain_networks_run_on_all_cores():
    here = box()
    search = PlannedSearch(here, study_on(here, 100, n_neurons=10))
    search.seconds(1.0)
    assert search.placement.mode == "cpu"
    assert list(search.places.values()).count("cpu") > 85


def test_large_networks_run_on_the_gpu():
    here = box()
    study = study_on(here, 40, n_neurons=2000)
    search = PlannedSearch(here, study)
    assert search.seconds(5.0) <= 1.05 * sum(trial.seconds("gpu") for trial in study.trials)
    assert list(search.places.values()).count("gpu") >= 36


@pytest.mark.slow
def test_boxes_drawn_at_random_are_seldom_planned_wrong():
    outcomes = [outcome_of(seed) for seed in range(40)]
    ratios = sorted(each.planned_s / each.best_s for each in outcomes)
    assert ratios[len(ratios) // 2] <= 1.05
    assert ratios[-3] <= 1.3


def test_both_gives_each_gpu_cores_that_feed_it_and_cpu_slots_on_all(monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    slots = parse_devices("both")
    gpus = [slot for slot in slots if slot.kind == "gpu"]
    cores = [slot for slot in slots if slot.kind == "cpu"]
    assert [len(slot.cores) for slot in gpus] == [2, 2]
    assert set(gpus[0].cores).isdisjoint(gpus[1].cores)
    assert [slot.threads for slot in gpus] == [2, 2]
    assert len(cores) == 8


def test_an_executor_gives_each_job_the_slot_of_the_plan(light_forkserver, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a")
    slots = [slot for slot in parse_devices("both") if slot.kind == "gpu"]
    slots.append(Slot("cpu:spare", {"CUDA_VISIBLE_DEVICES": "-1"}))
    placement = Placement(slots, DOMAINS, crossing())
    with LocalExecutor(
        slots,
        forkserver=light_forkserver,
        leases=Leases(tmp_path / "leases"),
        log_folder=tmp_path,
        placement=placement,
    ) as executor:
        for number, n in enumerate([100, 1]):
            function = "tests.executors.jobs:sleep"
            job = Job(str(number), function, (0.05,), work=work(number, n))
            executor.submit(job)
        events = deque()
        while sum(isinstance(event, Finished) for event in events) < 2:
            events.extend(executor.events(5.0))
    where = {event.job: event.slot for event in events if isinstance(event, Started)}
    assert where == {"0": "GPU-a", "1": "cpu:spare"}
    assert not placement._running
    assert math.isfinite(placement.gain)


def test_a_trial_is_really_moved_to_the_other_kind(light_forkserver, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a")
    gpu = next(slot for slot in parse_devices("both") if slot.kind == "gpu")
    slots = (gpu, Slot("cpu:spare", {"CUDA_VISIBLE_DEVICES": "-1"}))
    placement = Placement(slots, DOMAINS)
    first, last = work(0, 20, to_come=1), work(1, 10, to_come=0)
    with LocalExecutor(
        slots,
        forkserver=light_forkserver,
        leases=Leases(tmp_path / "leases"),
        log_folder=tmp_path,
        placement=placement,
    ) as executor:
        executor.submit(Job("0-1", "tests.executors.jobs:sleep", (0.3,), work=first))
        executor.submit(Job("1-1", "tests.executors.jobs:sleep", (60.0,), work=last))
        # An epoch takes 10 ms on the GPU, and 100 s on the core.
        for epoch in (1, 2):
            placement.report("0-1", 0.01 * epoch, 1)
            placement.report("1-1", 100.0 * epoch, 1)
        events = until(executor, lambda event: isinstance(event, Died))
        assert (events[-1].job, events[-1].cause) == ("1-1", "lost")
        assert "too slow on cpu:spare" in events[-1].detail

        executor.submit(Job("1-2", "tests.executors.jobs:sleep", (0.05,), work=last))
        events += until(executor, is_end)
    where = {event.job: event.slot for event in events if isinstance(event, Started)}
    assert where == {"0-1": "GPU-a", "1-1": "cpu:spare", "1-2": "GPU-a"}


def is_end(event):
    return isinstance(event, Finished) and event.job == "1-2"


def until(executor, is_awaited):
    """Return what happens until something is what is awaited."""
    happened = []
    give_up_at = time.monotonic() + 60.0
    while time.monotonic() < give_up_at:
        for event in executor.events(0.5):
            happened.append(event)
            if is_awaited(event):
                return happened
    raise AssertionError(f"it has not happened: {happened}")
