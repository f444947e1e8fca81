"""What is asked of NVIDIA's driver: the leased GPUs alone, by their UUID."""

from __future__ import annotations

import os
import time
import types

import pytest

from tuning.trials.usage import gpus
from tuning.trials.usage.meter import Meter


class NVMLError(Exception):
    pass


class FakeDriver(types.ModuleType):
    """Two GPUs and a MIG instance; the last tells its memory alone."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self):
        super().__init__("pynvml")
        self.asked = []
        self.computing = [(1, 500_000)]

    def nvmlInit(self):
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid):
        self.asked.append(uuid)
        if uuid not in ("GPU-a", "GPU-b", "MIG-c"):
            raise NVMLError("not found")
        return uuid

    def nvmlDeviceGetUtilizationRates(self, handle):
        return types.SimpleNamespace(gpu=self._of_gpu(handle, 71))

    def nvmlDeviceGetMemoryInfo(self, handle):
        return types.SimpleNamespace(used=2_000_000, total=8_000_000)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [types.SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.computing]

    def nvmlDeviceGetMPSComputeRunningProcesses(self, handle):
        raise NVMLError("not supported")

    def nvmlDeviceGetPowerUsage(self, handle):
        return self._of_gpu(handle, 250_500)

    def nvmlDeviceGetTemperature(self, handle, sensor):
        return self._of_gpu(handle, 64)

    @staticmethod
    def _of_gpu(handle, value):
        if handle.startswith("MIG"):
            raise NVMLError("not supported")
        return value


@pytest.fixture
def driver(monkeypatch):
    fake = FakeDriver()
    monkeypatch.setitem(__import__("sys").modules, "pynvml", fake)
    gpus._open_nvml.cache_clear()
    yield fake
    gpus._open_nvml.cache_clear()


def test_gpu_figures_are_those_of_the_leased_device(driver):
    assert gpus.gpu_figures(["GPU-b"]) == {
        "gpu_0_utilization_percentage": 71.0,
        "gpu_0_memory_usage_megabytes": 2.0,
        "gpu_0_memory_usage_percentage": 25.0,
        "gpu_0_power_usage_watts": 250.5,
        "gpu_0_temperature_celsius": 64.0,
    }
    assert driver.asked == ["GPU-b"]


def test_gpu_figures_leave_out_what_an_instance_does_not_tell(driver):
    figures = gpus.gpu_figures(["GPU-a", "MIG-c"])
    assert [name for name in figures if name.startswith("gpu_1")] == [
        "gpu_1_memory_usage_megabytes",
        "gpu_1_memory_usage_percentage",
    ]


@pytest.mark.parametrize("device", ["GPU-a", "MIG-c"])
def test_of_a_device_that_trials_share_the_own_part_of_the_memory_is_told(driver, device):
    driver.computing += [(os.getpid(), 1_500_000), (7, None)]
    figures = gpus.gpu_figures([device])
    assert figures["gpu_0_process_memory_megabytes"] == 1.5
    assert figures["gpu_0_memory_usage_megabytes"] == 2.0


@pytest.mark.parametrize("computing", [[], [(1, 500_000)], [(os.getpid(), None)]])
def test_an_own_part_that_the_driver_does_not_tell_is_left_out(driver, computing):
    driver.computing = computing
    assert "gpu_0_process_memory_megabytes" not in gpus.gpu_figures(["GPU-a"])


def test_a_meter_on_a_share_looks_at_the_whole_device_by_its_own_name(driver, tmp_path):
    with Meter(tmp_path, 1, "MIG-c#1/4") as meter:
        began = time.perf_counter()
        (sample,) = meter.samples
        time.sleep(0.2)
        gpu_s = meter.usage.gpu_s
        wall_s = time.perf_counter() - began
    assert sample["gpu_0_memory_usage_megabytes"] == 2.0
    assert set(driver.asked) == {"MIG-c"}
    assert 0.05 <= gpu_s < wall_s / 2


def test_gpu_figures_of_a_stand_in_are_none(driver):
    assert gpus.gpu_figures(["GPU-stand-in"]) == {}


def test_no_driver_is_asked_of_a_cpu_core(driver):
    assert gpus.gpu_figures([]) == {}
    assert driver.asked == []
