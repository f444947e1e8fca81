"""The plan of a search: on which devices it is made, told, kept, and taken up again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tuning.executors.devices.device import Device
from tuning.executors.devices.slot import Slot
from tuning.executors.devices.slots import parse_devices
from tuning.executors.placement.model import Timing
from tuning.executors.placement.policy import Placement
from tuning.ledger.placement import PlanRecord, read_plan
from tuning.ledger.records import write_record
from tuning.search.placed.plan import plan_of
from tuning.search.placed.planning import Planning, placement_of, planned_devices
from tuning.space.domains import Choice, Int
from tuning.space.space import Space

CORES = tuple(Slot(f"cpu:{i}", {"CUDA_VISIBLE_DEVICES": "-1"}, cores=(i,)) for i in range(1, 4))
GPU = Slot("GPU-a", {"CUDA_VISIBLE_DEVICES": "GPU-a"}, cores=(0,))
SLOTS = (GPU, *CORES)
SPACE = Space({"n": Int(1, 100, log=True), "body": Choice("plain", None)})
STUDY = SimpleNamespace(space=SPACE, gpus_per_trial=1)


@pytest.fixture
def nvml(monkeypatch):
    """A driver that knows one GPU."""
    monkeypatch.delenv("TUNING_DEVICES", raising=False)
    gpus = [Device("GPU-a", 0, "Pretended", 16_384)]
    monkeypatch.setattr("tuning.search.placed.planning.discover", lambda: gpus)
    return gpus


def timings():
    return [
        Timing(
            kind=kind,
            params={"n": n, "body": body},
            epoch_s=0.1 * n if kind == "cpu" else 1.0,
            setup_s=0.5,
            noise=0.1,
        )
        for n in (1, 3, 10, 30, 100)
        for kind in ("cpu", "gpu")
        for body in ("plain", None)
    ]


def decided(folder, box=None):
    """Write the plan of a search that was timed; return it."""
    placement = placement_of(SLOTS, STUDY, folder)
    for timing in timings():
        placement.outlook.learn(timing)
    plan = plan_of(placement)
    plan = plan if box is None else replace(plan, box=box)
    folder.mkdir(exist_ok=True)
    write_record(folder / PlanRecord.FILE, plan)
    return plan


# --- on which devices ---


@pytest.mark.parametrize(("devices", "planned"), [("auto", "both"), ("auto/4", "both/4")])
def test_auto_is_both_kinds_where_there_is_a_gpu(nvml, devices, planned):
    assert planned_devices(devices, STUDY) == planned


@pytest.mark.parametrize("devices", ["cpu", "gpu", "0", "gpu/2", "both"])
def test_what_is_said_is_kept(nvml, devices):
    assert planned_devices(devices, STUDY) == devices


def test_without_a_gpu_nothing_is_planned(nvml):
    nvml.clear()
    told = []
    assert planned_devices("auto", STUDY, deterministic=True, notice=told.append) == "auto"
    assert told == []


def test_stand_ins_clusters_and_trials_of_several_gpus_are_not_planned(nvml, monkeypatch):
    several = SimpleNamespace(space=SPACE, gpus_per_trial=2)
    assert planned_devices("auto", several) == "auto"
    assert planned_devices("auto", STUDY, executor="ray") == "auto"
    monkeypatch.setenv("TUNING_DEVICES", "GPU-x")
    assert planned_devices("auto", STUDY) == "auto"


def test_a_deterministic_search_says_which_kind_it_uses_and_why(nvml):
    told = []
    assert planned_devices("auto", STUDY, deterministic=True, notice=told.append) == "auto"
    assert told == [
        "--deterministic: trials run on GPUs alone, for figures differ a little between GPUs and "
        "CPU cores; --devices cpu runs them on cores alone"
    ]


# --- the file ---


def test_a_plan_is_read_as_it_was_written(tmp_path):
    plan = decided(tmp_path / "search")
    assert read_plan(tmp_path / "search") == plan
    assert plan.box == "GPU-a; 3 cores"
    assert len(plan.timings) == 20
    assert {row.structure for row in plan.rows} == {"body=plain", "body=None"}


def test_a_plan_of_an_earlier_release_has_no_box(tmp_path):
    stored = decided(tmp_path / "search").to_json()
    del stored["box"]
    assert PlanRecord.from_json(stored).box == ""


def test_a_search_that_goes_on_measures_nothing_again(tmp_path):
    plan = decided(tmp_path / "search")
    again = placement_of(SLOTS, STUDY, tmp_path / "search")
    assert again.mode == plan.mode
    assert again.timings == timings()
    assert again.model.n_timings == {"cpu": 10, "gpu": 10}


def test_another_search_of_the_study_on_this_box_tells_what_it_measured(tmp_path):
    decided(tmp_path / "optuna-tpe")
    other = placement_of(SLOTS, STUDY, tmp_path / "optuna-random")
    assert other.model.n_timings == {"cpu": 10, "gpu": 10}
    # What is measured now weighs more.
    assert min(timing.noise for timing in other.timings) > 0.3


def test_a_search_on_another_box_tells_nothing(tmp_path):
    decided(tmp_path / "optuna-tpe", box="GPU-b; 3 cores")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / PlanRecord.FILE).write_text("{")
    other = placement_of(SLOTS, STUDY, tmp_path / "optuna-random")
    assert other.model.n_timings == {"cpu": 0, "gpu": 0}


def test_timings_of_parameters_that_are_gone_are_left_out(tmp_path):
    decided(tmp_path / "search")
    narrower = SimpleNamespace(space=Space({"n": Int(1, 100)}), gpus_per_trial=1)
    assert placement_of(SLOTS, narrower, tmp_path / "search").timings == []


def test_slots_of_one_kind_are_not_planned(tmp_path):
    assert placement_of(CORES, STUDY, tmp_path) is None
    planning = Planning(None, tmp_path, lambda words: None)
    planning.look(at_end=True)
    assert planning.ahead() == 0
    assert not list(tmp_path.iterdir())


def test_before_both_kinds_were_timed_nothing_is_told(tmp_path):
    told = []
    placement = placement_of(SLOTS, STUDY, tmp_path / "search")
    Planning(placement, tmp_path, told.append).look(at_end=True)
    assert told == []
    assert not list(tmp_path.iterdir())


def test_a_plan_is_told_once_and_kept(tmp_path):
    told = []
    placement = Placement(SLOTS, SPACE.domains, timings())
    planning = Planning(placement, tmp_path, told.append)
    planning.look()
    planning.look(at_end=True)
    assert len(told) == 1
    kept = read_plan(tmp_path)
    assert kept is not None
    assert told[0].startswith(kept.words)
    assert kept.mode == placement.mode


# --- cores ---


@pytest.mark.parametrize(("n_cores", "n_gpus"), [(2, 1), (4, 1), (8, 4), (6, 2), (64, 8)])
def test_trials_and_what_feeds_gpus_have_no_more_threads_than_cores(monkeypatch, n_cores, n_gpus):
    monkeypatch.setenv("TUNING_DEVICES", ",".join(f"GPU-{i}" for i in range(n_gpus)))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(n_cores)))
    slots = parse_devices("both")
    gpus = [slot for slot in slots if slot.kind == "gpu"]
    feeding = {core for slot in gpus for core in slot.cores}
    beside = [slot for slot in slots if slot.kind == "cpu" and feeding.isdisjoint(slot.cores)]
    assert len(feeding) == sum(slot.threads for slot in gpus)
    assert sum(slot.threads for slot in [*gpus, *beside]) <= n_cores
    assert len(beside) >= n_cores // 2 - 1
