"""`FakeNvml` stands for the driver's library, which the test machine lacks."""

from types import SimpleNamespace

import pynvml

from tuning.executors.devices import nvml


class FakeNvml:
    """Two GPUs of 16 GiB, told of as `pynvml` does; what is set here is answered from then on.

    Attributes:
        cut: GPUs in MIG mode, by number, and how many instances each has.
        pids: Processes that compute, by handle: a number, or `(number, instance)`.
        drawing: Processes that draw, by handle.
        used_mb: By handle.
        cores: The cores near each GPU, by number; None: the driver does not say.
    """

    def __init__(self, monkeypatch):
        self.cut = {}
        self.pids = {}
        self.drawing = {}
        self.used_mb = {}
        self.cores = {}
        self.program = "/usr/bin/python3"
        nvml._driver_is_there.cache_clear()
        monkeypatch.delenv("TUNING_DEVICES", raising=False)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        answers = {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetCount": lambda: 2,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetUUID": self._uuid,
            "nvmlDeviceGetName": lambda handle: "NVIDIA T4",
            "nvmlDeviceGetMemoryInfo": self._memory,
            "nvmlDeviceGetMigMode": self._mig_mode,
            "nvmlDeviceGetMaxMigDeviceCount": lambda handle: 7,
            "nvmlDeviceGetMigDeviceHandleByIndex": self._instance,
            "nvmlDeviceGetComputeRunningProcesses": lambda handle: _processes(self.pids, handle),
            "nvmlDeviceGetMPSComputeRunningProcesses": lambda handle: [],
            "nvmlDeviceGetGraphicsRunningProcesses": lambda h: _processes(self.drawing, h),
            "nvmlSystemGetProcessName": lambda pid: self.program,
            "nvmlDeviceGetCpuAffinity": self._affinity,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, name, answer)

    def _uuid(self, handle):
        if isinstance(handle, tuple):
            return f"MIG-{handle[0]}{handle[1]}f"
        return f"GPU-{handle}f"

    def _memory(self, handle):
        used = self.used_mb.get(handle, 0)
        return SimpleNamespace(total=16384 << 20, free=(16384 - used) << 20)

    def _mig_mode(self, handle):
        if handle not in self.cut:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [pynvml.NVML_DEVICE_MIG_ENABLE] * 2

    def _instance(self, handle, instance):
        if instance >= self.cut[handle]:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return handle, instance

    def _affinity(self, handle, n_words):
        if handle not in self.cores:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        mask = sum(1 << core for core in self.cores[handle])
        return [mask >> (64 * i) & (2**64 - 1) for i in range(n_words)]


def _processes(by_handle, handle):
    return [SimpleNamespace(pid=pid) for pid in by_handle.get(handle, ())]
