"""`record --gpu-hours`: all seeds of a recording use one budget."""

from __future__ import annotations

import json

import pytest

from tests.search.run_parts import FILE
from tuning.errors import StudyError
from tuning.simulation.record import RecordOptions, record_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # trains with TensorFlow

N_TRAININGS = 40
"""Twenty points on two seeds."""


@pytest.fixture
def record(tmp_path, monkeypatch, forkserver):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a")

    def record(**changes):
        options = RecordOptions(points=20, seeds=2, home=str(tmp_path), **changes)
        return record_study(FILE, options, forkserver=forkserver)

    return record


def results(home):
    paths = home.glob("recordings/traces/*/seed-*/trials/*/result.json")
    return {path: json.loads(path.read_text()) for path in paths}


def test_a_recording_ends_with_its_hours_and_goes_on_with_more(record, tmp_path):
    ended = record(devices="gpu", gpu_hours=8 / 3600)
    first = results(tmp_path)
    assert (ended.manifest, ended.status) == (None, "budget")
    assert 0 < len(first) < N_TRAININGS
    assert sum(result["gpu_s"] for result in first.values()) < 2 * 8

    ended = record(devices="gpu", gpu_hours=8 / 3600)
    assert (ended.status, results(tmp_path)) == ("budget", first)

    ended = record(devices="gpu", gpu_hours=1.0)
    assert ended.status == "completed"
    assert ended.manifest.exists()
    assert first.items() <= results(tmp_path).items()
    assert len(results(tmp_path)) == N_TRAININGS


def test_gpu_hours_on_cores_are_refused(record):
    with pytest.raises(StudyError, match="no slot of --devices cpu is a GPU"):
        record(devices="cpu", gpu_hours=1.0)
