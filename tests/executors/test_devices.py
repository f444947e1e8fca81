import os
import subprocess
import sys

import pytest

from tuning.errors import MissingError, StudyError
from tuning.executors.devices.slots import parse_devices

CORES = sorted(os.sched_getaffinity(0))


@pytest.fixture
def gpus(monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-aa, GPU-bb,GPU-cc")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "")


def names(slots):
    return [slot.name for slot in slots]


def test_auto_takes_every_gpu_by_uuid(gpus):
    slots = parse_devices("auto")
    assert names(slots) == ["GPU-aa", "GPU-bb", "GPU-cc"]
    assert slots[1].environment == {
        "CUDA_VISIBLE_DEVICES": "GPU-bb",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
    assert slots[1].stays_taken


def test_a_slot_knows_what_it_computes_on(gpus):
    assert {slot.kind for slot in parse_devices("cpu")} == {"cpu"}
    assert {slot.kind for slot in parse_devices("gpu", 2)} == {"gpu"}


@pytest.mark.parametrize("text", ["auto", "cpu"])
def test_without_a_gpu_each_core_is_a_slot_of_one_thread(no_gpu, text):
    slots = parse_devices(text)
    assert names(slots) == [f"cpu:{core}" for core in CORES]
    assert [slot.cores for slot in slots] == [(core,) for core in CORES]
    assert {slot.threads for slot in slots} == {1}
    assert {slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots} == {"-1"}


def test_more_cpu_slots_than_cores_share_them_under_names_of_their_own():
    slots = parse_devices(f"cpu:{2 * len(CORES) + 1}")
    assert names(slots)[: len(CORES)] == [f"cpu:{core}" for core in CORES]
    assert names(slots)[len(CORES)] == f"cpu:{CORES[0]}#1"
    assert names(slots)[-1] == f"cpu:{CORES[0]}#2"
    assert slots[-1].cores == (CORES[0],)


def test_cpu_is_taken_although_there_are_gpus(gpus):
    assert names(parse_devices("cpu:1")) == [f"cpu:{CORES[0]}"]


@pytest.mark.parametrize("text", ["0,2", "GPU-aa,GPU-cc", "0,GPU-cc"])
def test_gpus_are_chosen_by_number_or_uuid(gpus, text):
    assert names(parse_devices(text)) == ["GPU-aa", "GPU-cc"]


def test_several_gpus_make_one_slot_with_a_lease_each(gpus):
    (slot,) = parse_devices("gpu", gpus_per_trial=2)
    assert slot.name == "GPU-aa+GPU-bb"
    assert slot.environment["CUDA_VISIBLE_DEVICES"] == "GPU-aa,GPU-bb"


def test_a_gpu_that_is_not_there_ends_with_exit_code_3_and_what_to_do(no_gpu):
    with pytest.raises(MissingError) as caught:
        parse_devices("gpu")
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "1 GPU needed for a trial, GPUs found: none. "
        "Check nvidia-smi, or search on the CPU with --devices cpu."
    )


def test_too_few_gpus_for_one_trial_are_refused(gpus):
    with pytest.raises(MissingError, match="4 GPUs needed for a trial, GPUs found: 0 "):
        parse_devices("gpu", gpus_per_trial=4)


@pytest.mark.parametrize("text", ["3", "0,7", "GPU-xx", "cpus", "", "cpu:0", "0,0"])
def test_what_means_nothing_here_is_refused(gpus, text):
    with pytest.raises(StudyError):
        parse_devices(text)


def test_the_refusal_names_the_devices_found(gpus):
    with pytest.raises(StudyError) as caught:
        parse_devices("0,7")
    assert str(caught.value) == (
        "--devices 0,7: there is no device '7'; GPUs found: 0 (GPU-aa), 1 (GPU-bb), 2 (GPU-cc). "
        "Say auto, cpu, cpu:2, gpu, or GPUs by number or UUID such as 0,1."
    )


def test_discovery_imports_no_tensorflow():
    code = (
        "import sys; from tuning.executors.devices.gpus import discover; discover(); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
