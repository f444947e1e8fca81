"""GPUs that TensorFlow cannot use end a run with TensorFlow's own reason."""

import sys
from types import SimpleNamespace

import pytest

from tuning.executors.devices.binding import bind_to, gpu_fault, reason_in
from tuning.executors.devices.slot import Slot

GPU = Slot("GPU-x", {"CUDA_VISIBLE_DEVICES": "GPU-x"}, threads=0, gpu_memory_mb=2000)
CPU = Slot("cpu:0", {"CUDA_VISIBLE_DEVICES": "-1"}, cores=(0,))


@pytest.fixture
def sees(monkeypatch):
    """Have TensorFlow see as many GPUs as are in the list; returns the limits it is given."""
    devices = []
    limits = []
    config = SimpleNamespace(
        list_physical_devices=lambda kind: devices,
        LogicalDeviceConfiguration=lambda memory_limit: memory_limit,
        set_logical_device_configuration=lambda gpu, parts: limits.append((gpu, parts)),
    )
    build = {"is_cuda_build": True}
    sysconfig = SimpleNamespace(get_build_info=lambda: build)
    fake = SimpleNamespace(config=config, sysconfig=sysconfig, build=build)
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    monkeypatch.delenv("TUNING_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return devices, limits


def test_a_gpu_that_tensorflow_does_not_see_is_told_with_its_reason(sees):
    fault = gpu_fault(GPU, ask=lambda: "libcudnn.so.9 is missing")
    assert fault.startswith("TensorFlow sees 0 of the slot GPU-x's GPUs: libcudnn.so.9 is missing")
    assert "--devices cpu" in fault


def test_a_build_for_cpus_is_told_without_asking_another_process(sees):
    sys.modules["tensorflow"].build["is_cuda_build"] = False
    assert "built for CPUs (tensorflow-cpu)" in gpu_fault(GPU, ask=pytest.fail)


def test_nothing_is_asked_where_all_is_well(sees):
    devices, _ = sees
    devices.append("GPU:0")
    assert gpu_fault(GPU, ask=pytest.fail) == ""
    assert gpu_fault(CPU, ask=pytest.fail) == ""


def test_a_share_has_its_part_of_the_memory(sees):
    devices, limits = sees
    devices.append("GPU:0")
    bind_to(GPU)
    assert limits == [("GPU:0", [2000])]


@pytest.mark.parametrize(
    ("output", "errors", "reason"),
    [
        ("IS_CUDA False", "", "tensorflow-cpu"),
        (
            "IS_CUDA True",
            "2026-01-01 00:00:00.1: E external/cuda_platform.cc:51] failed call to cuInit: "
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: driver too old",
            "failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: driver too old",
        ),
        ("", "Illegal instruction", "it does not say why"),
    ],
)
def test_the_reason_is_tensorflows_own(output, errors, reason):
    assert reason in reason_in(output, errors)
