"""Who computes on a GPU and is no part of a search."""

from __future__ import annotations

import os
import subprocess
import sys

import pynvml
import pytest

from tests.executors.fake_nvml import FakeNvml
from tuning.executors.devices.foreign import foreign_processes
from tuning.executors.devices.nvml import _driver_is_there
from tuning.executors.supervision.parts import WORKER

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


@pytest.fixture
def nvml(monkeypatch):
    yield FakeNvml(monkeypatch)
    _driver_is_there.cache_clear()


def on_the_first_gpu():
    return foreign_processes()["GPU-0f"]


def test_our_own_processes_and_those_of_other_containers_are_not_foreign(nvml, child):
    nvml.pids[0] = [os.getpid(), child.pid, 2**22 + 1]
    assert on_the_first_gpu() == []


def test_anybody_elses_is_and_is_named(nvml, stranger):
    nvml.pids[0] = [os.getpid(), stranger]
    (found,) = on_the_first_gpu()
    assert found.pid == stranger
    assert found.user
    assert found.words.startswith(f"process {stranger} ({found.user}, python")
    assert foreign_processes()["GPU-1f"] == []


def test_a_desktop_is_not_a_stranger_for_whom_a_gpu_is_left(nvml, stranger):
    nvml.pids[0] = [stranger]
    nvml.drawing[0] = [stranger]
    assert on_the_first_gpu() == []


def test_who_computes_on_an_instance_of_a_gpu_is_told_of_that_one(nvml, stranger):
    nvml.cut[0] = 2
    nvml.pids[0, 1] = [stranger]
    found = foreign_processes()
    assert [each.pid for each in found["MIG-01f"]] == [stranger]
    assert found["MIG-00f"] == []


def test_another_searchs_worker_is_not_foreign(nvml, stranger, monkeypatch):
    nvml.pids[0] = [stranger]
    monkeypatch.setattr("tuning.executors.devices.foreign.command_of", lambda pid: WORKER.name)
    assert on_the_first_gpu() == []


@pytest.mark.parametrize("code", ["LIBRARY_NOT_FOUND", "UNKNOWN"])
def test_a_box_without_a_driver_that_answers_has_nobody_there(nvml, monkeypatch, code):
    def fail():
        raise pynvml.NVMLError(getattr(pynvml, f"NVML_ERROR_{code}"))

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert foreign_processes() == {}
