"""Who computes on a GPU and is no part of a search."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest

from tuning.executors.devices.foreign import foreign_processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def child():
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


@pytest.fixture
def stranger():
    """A process that is not below this one: its parent has ended."""
    script = (
        "import subprocess, sys; "
        f"print(subprocess.Popen({SLEEP!r}, stdout=subprocess.DEVNULL).pid, flush=True)"
    )
    begun = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    )
    pid = int(begun.stdout.split()[0])
    yield pid
    os.kill(pid, 9)


def test_our_own_processes_and_those_of_other_containers_are_not_foreign(child):
    pids = [os.getpid(), child.pid, 2**22 + 1]
    assert foreign_processes("GPU-a", lambda uuid: pids) == []


def test_anybody_elses_is_and_is_named(stranger):
    (found,) = foreign_processes("GPU-a", lambda uuid: [stranger])
    assert found.pid == stranger
    assert found.user
    assert found.words.startswith(f"process {stranger} ({found.user}, python")


class NoDriver(Exception):
    pass


def fake_nvml(pids, error=None):
    def init():
        if error is not None:
            raise error

    return types.SimpleNamespace(
        NVMLError=NoDriver,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetComputeRunningProcesses=lambda uuid: [
            types.SimpleNamespace(pid=pid) for pid in pids
        ],
    )


def test_the_driver_is_asked_by_uuid(monkeypatch, stranger):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml([os.getpid(), stranger]))
    assert [each.pid for each in foreign_processes("GPU-a")] == [stranger]


def test_a_box_without_a_driver_has_nobody_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml([], NoDriver()))
    assert foreign_processes("GPU-a") == []
