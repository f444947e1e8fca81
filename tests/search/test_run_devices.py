"""Whole commands on GPUs that are none, and within hours of processors and GPUs."""

from __future__ import annotations

import json

import pytest

from tests.executors.fake_nvml import FakeNvml
from tests.search.run_parts import FILE
from tuning.cli.main import main
from tuning.executors.devices import nvml

# Each command starts TensorFlow.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def driver(traces, alone, monkeypatch):
    """A box whose driver tells of two GPUs; TensorFlow's build for CPUs can use neither."""
    yield FakeNvml(monkeypatch)
    nvml._driver_is_there.cache_clear()


def run(capsys, *words):
    """Return the exit code of a command, what `--json` says, and what a person is told."""
    code = main(["run", str(FILE), "--engine", "optuna:random", "--json", *words])
    said = capsys.readouterr()
    lines = said.out.splitlines()
    return code, json.loads(lines[-1]) if lines else {}, " ".join(said.err.split())


def results(home):
    paths = home.glob("ledger/*/*/trials/*/result.json")
    return {path.parent.name: path.read_bytes() for path in paths}


@pytest.mark.parametrize("devices", ["0", "gpu/2", "GPU-1f"])
def test_gpus_that_tensorflow_cannot_use_end_the_run_with_its_reason(
    driver, traces, capsys, devices
):
    code, _, said = run(capsys, "--devices", devices)
    assert code == 3
    assert "TensorFlow sees 0 of the slot GPU-" in said
    assert "built for CPUs (tensorflow-cpu)" in said
    assert "--devices cpu" in said
    assert results(traces.parent / "home") == {}  # a device's fault is no trial's


def test_gpus_that_somebody_else_uses_are_told_as_busy_with_whose_they_are(driver, capsys):
    driver.pids[0] = driver.pids[1] = [1]
    code, _, said = run(capsys, "--devices", "0", "--timeout", "40s")
    assert code == 75
    assert "no device is free" in said
    assert "GPU-0f is used by process 1 (root" in said


@pytest.mark.parametrize(
    ("hours", "devices", "unit"), [("--gpu-hours", "0", "gpu"), ("--cpu-hours", "cpu:1", "cpu")]
)
def test_a_search_ends_with_its_hours_and_goes_on_with_more(
    traces, alone, capsys, hours, devices, unit
):
    home = traces.parent / "home"
    code, _, _ = run(capsys, "--devices", devices, "--trials", "1")
    assert code == 0
    (first,) = results(home).values()
    limit = str(4 * json.loads(first)[f"{unit}_s"] / 3600)

    # What was used before counts: one of the four that the hours are enough for.
    words = ("--devices", devices, "--trials", "200", hours, limit)
    code, ended, said = run(capsys, *words)
    assert (code, ended["status"]) == (0, "budget")
    assert 1 <= ended["trials"]["completed"] < 200
    assert f"{hours}: " in said
    kept = results(home)
    assert first in kept.values()

    code, again, _ = run(capsys, *words)  # it had no more to use
    assert (code, again["status"]) == (0, "budget")
    assert again["trials"]["completed"] <= ended["trials"]["completed"] + 1

    more = again["trials"]["completed"] + 2
    code, last, _ = run(capsys, "--devices", devices, "--trials", str(more), hours, "1")
    assert (code, last["status"]) == (0, "completed")
    assert last["trials"]["completed"] == more
    assert kept.items() <= results(home).items()  # none is trained twice


def test_gpu_hours_without_a_gpu_are_refused(traces, alone, capsys):
    code, _, said = run(capsys, "--devices", "cpu", "--gpu-hours", "1")
    assert code == 2
    assert "--gpu-hours 1: no slot of --devices cpu is a GPU" in said
