"""Which GPUs there are and who computes on them, as a stand-in for the driver tells."""

import json
import os
import subprocess
import sys
import time

import pynvml
import pytest

from tests.executors.fake_nvml import FakeNvml
from tuning.cli.main import main
from tuning.cli.running.devices import held_in_short, read_rows
from tuning.errors import MissingError, StudyError
from tuning.executors.devices import slots as slots_module
from tuning.executors.devices.device import Device, visible
from tuning.executors.devices.gpus import discover, preferred, why_not_free
from tuning.executors.devices.leases import release
from tuning.executors.devices.nvml import _driver_is_there, read_device
from tuning.executors.devices.occupancy import Occupancy
from tuning.executors.devices.people import command_of, printable, user_of
from tuning.executors.devices.slots import parse_devices, per_gpu


@pytest.fixture
def nvml(monkeypatch):
    yield FakeNvml(monkeypatch)
    _driver_is_there.cache_clear()


def uuids(devices):
    return [device.uuid for device in devices]


def test_nvml_tells_uuid_name_and_memory(nvml):
    nvml.used_mb[1] = 1000
    assert discover() == [
        Device(0, "GPU-0f", "NVIDIA T4", 16384, 16384),
        Device(1, "GPU-1f", "NVIDIA T4", 16384, 15384),
    ]


def test_a_gpu_in_mig_mode_gives_its_instances(nvml):
    nvml.cut[1] = 2
    found = discover()
    assert uuids(found) == ["GPU-0f", "MIG-10f", "MIG-11f"]
    assert [device.number for device in found] == ["0", "1:0", "1:1"]
    assert [slot.name for slot in parse_devices("1:1,0")] == ["MIG-11f", "GPU-0f"]


GPUS = [Device(0, "GPU-aa1"), Device(1, "GPU-ab2"), Device(2, "MIG-c", instance=0)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1", ["GPU-ab2"]),
        ("1,0", ["GPU-ab2", "GPU-aa1"]),
        ("GPU-aa", ["GPU-aa1"]),
        ("MIG-c", ["MIG-c"]),
        ("2", ["MIG-c"]),  # as CUDA: the first instance
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0,-1,1", ["GPU-aa1"]),  # what follows the first wrong word is hidden
        ("0,7,1", ["GPU-aa1"]),
        ("GPU-a,0", []),  # two begin so
        ("0,0", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(text, shown):
    assert uuids(visible(text, GPUS)) == shown


def test_gpus_that_the_batch_system_hides_are_left_alone(nvml, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert uuids(discover()) == ["GPU-1f"]


def test_a_driver_that_does_not_answer_is_no_silent_fall_back_to_the_cpu(nvml, monkeypatch):
    def fail():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    with pytest.raises(MissingError, match="does not answer"):
        parse_devices("auto")


def test_a_gpu_that_is_lost_while_it_is_asked_is_told_in_words(nvml, monkeypatch):
    def fail(index):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", fail)
    with pytest.raises(MissingError, match="does not answer"):
        discover()


# --- who computes there ---


def test_a_gpu_on_which_another_computes_is_not_free(nvml):
    nvml.pids[0] = [1]
    reason = why_not_free(read_device("GPU-0f"), {os.getpid()})
    assert reason == f"used by process 1 ({user_of(1)}: {command_of(1)})"
    assert why_not_free(read_device("GPU-1f"), {os.getpid()}) == ""


def test_what_a_search_has_started_is_no_stranger(nvml):
    code = (
        "import subprocess, sys; "
        "subprocess.run([sys.executable, '-c', 'import os; print(os.getpid()); input()'])"
    )
    pipe = subprocess.PIPE
    # The driver, its worker's parent, the worker: as many steps as there are in a search.
    child = subprocess.Popen([sys.executable, "-uc", code], stdin=pipe, stdout=pipe)
    nvml.pids[0] = [int(child.stdout.readline())]
    assert why_not_free(read_device("GPU-0f"), {os.getpid()}) == ""
    assert why_not_free(read_device("GPU-0f"), {2**22 + 1}).startswith("used by process")
    child.communicate(b"\n")


def test_a_desktop_leaves_a_gpu_free_and_so_does_the_daemon_that_shares_it(nvml):
    nvml.pids[0] = [1]
    nvml.drawing[0] = [1]
    assert read_device("GPU-0f").pids == ()
    nvml.drawing.clear()
    nvml.program = "/usr/bin/nvidia-cuda-mps-server"
    assert read_device("GPU-0f").pids == ()


def test_too_little_memory_tells_of_those_whom_a_container_hides(nvml):
    nvml.used_mb[0] = 9000
    device = read_device("GPU-0f")
    assert why_not_free(device, ()) == "not free: 7384 of 16384 MiB are left"
    assert why_not_free(device, (), is_shared=True) == ""


def test_a_slot_is_taken_once_the_stranger_has_gone(nvml, leases, monkeypatch):
    occupancy = Occupancy(leases)
    monkeypatch.setattr("tuning.executors.devices.occupancy._ASK_AGAIN_S", 0.0)
    (slot,) = parse_devices("0")
    nvml.pids[0] = [1]
    assert not occupancy.is_free(slot)
    assert occupancy.words(slot.devices)["GPU-0f"].startswith("used by process 1")
    nvml.pids.clear()
    assert occupancy.is_free(slot)
    assert occupancy.words(slot.devices) == {}


def test_free_and_empty_gpus_come_first_else_the_order_of_the_box():
    busy = Device(0, "a", free_mb=9000, pids=(1,))
    full = Device(1, "b", free_mb=8000)
    empty = Device(2, "c", free_mb=16000)
    as_empty = Device(3, "d", free_mb=16010)
    assert uuids(preferred([busy, full, empty, as_empty])) == ["c", "d", "b", "a"]


def test_what_others_have_written_does_no_harm_on_a_terminal():
    assert printable("a\x1b[2Jb\n") == "a?[2Jb?"
    assert len(printable("x" * 10_000)) < 100


# --- cores and shares ---


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(slots_module, "own_cores", lambda: list(range(8)))


def test_gpu_slots_have_their_part_of_the_cores_near_their_gpu(nvml, cores):
    nvml.cores = {0: range(4, 8), 1: range(4)}
    assert [slot.cores for slot in parse_devices("gpu")] == [(4, 5, 6, 7), (0, 1, 2, 3)]
    nvml.cores = {}  # one node, or a driver that does not say
    slots = parse_devices("gpu")
    assert [slot.cores for slot in slots] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert {slot.threads for slot in slots} == {4}


@pytest.mark.parametrize("n_slots", [1, 2, 3, 5, 8, 11])
def test_no_core_is_given_twice_while_there_are_enough(nvml, cores, n_slots):
    slots = parse_devices("0", slots_per_gpu=n_slots)
    given = [core for slot in slots for core in slot.cores]
    assert len(slots) == n_slots
    assert set(given) == set(range(8))
    assert len(given) == max(8, n_slots)
    assert [slot.threads for slot in slots] == [len(slot.cores) for slot in slots]


def test_slots_of_a_gpu_share_its_memory(nvml):
    slots = parse_devices("gpu", slots_per_gpu=2)
    assert [slot.name for slot in slots] == ["GPU-0f#0/2", "GPU-1f#0/2", "GPU-0f#1/2", "GPU-1f#1/2"]
    assert [slot.devices for slot in slots][::2] == [["GPU-0f#0"], ["GPU-0f#1"]]
    assert {slot.gpu_memory_mb for slot in slots} == {16384 // 2 - 600}
    assert slots[0].environment["CUDA_VISIBLE_DEVICES"] == "GPU-0f"
    assert slots[0].environment["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] == "0=8192M"


def test_shares_that_would_be_too_small_are_refused_with_how_many_would_work(nvml):
    with pytest.raises(StudyError, match="at most 14 would work"):
        parse_devices("gpu", slots_per_gpu=20)
    assert len(parse_devices("0", slots_per_gpu=14)) == 14


@pytest.mark.parametrize("text", ["gpu/2", "0,1/2", "auto/2"])
def test_how_many_share_a_gpu_may_be_said_with_the_devices(nvml, text):
    assert [slot.name for slot in parse_devices(text)][::2] == ["GPU-0f#0/2", "GPU-0f#1/2"]


@pytest.mark.parametrize("text", ["gpu/0", "gpu/", "gpu/x", "gpu/2/2", "cpu/2", "cpu:2/1", "/2"])
def test_a_wrong_number_of_shares_is_refused(nvml, text):
    with pytest.raises(StudyError, match="--devices"):
        parse_devices(text)


def test_two_numbers_of_shares_are_refused():
    assert per_gpu("0,1", 3) == "0,1/3"
    assert per_gpu("0/2", None) == "0/2"
    with pytest.raises(StudyError, match="another option"):
        per_gpu("0/2", 3)


def test_trials_of_several_gpus_do_not_share_them(nvml):
    with pytest.raises(StudyError, match="gpus_per_trial=2"):
        parse_devices("gpu", gpus_per_trial=2, slots_per_gpu=2)


# --- `tuning devices` ---


def test_the_table_says_who_computes_and_who_has_leased(nvml, leases):
    nvml.pids[0] = [1]
    held = leases.acquire_all(["GPU-1f#0"], "housing")
    first, second, *cores = read_rows(leases)
    assert (first.number, first.uuid, first.memory_mb) == ("0", "GPU-0f", 16384)
    assert first.used_by == [f"1 {user_of(1)} {command_of(1)}"]
    assert first.why_not_free.startswith("used by process 1")
    (holder,) = second.holders
    assert (holder.device, holder.study, holder.pid) == ("GPU-1f#0", "housing", os.getpid())
    assert time.time() - 60 < holder.since <= time.time()
    assert second.leased_by == [holder.words]
    assert held_in_short([first, second, *cores]) == f"1: {holder.words}"
    assert second.why_not_free == "leased"
    assert {core.why_not_free for core in cores} == {""}
    release(held)
    assert read_rows(leases)[1].why_not_free == ""


def test_the_verb_prints_a_list_for_programs(nvml, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    assert main(["devices", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["number"] for row in rows][:2] == ["0", "1"]
    assert main(["devices"]) == 0
    assert "16384 of 16384" in capsys.readouterr().out
