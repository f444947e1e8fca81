"""`tuning record` through the front door; what it writes is tested in tests/bench."""

import json

import pytest

import tuning.simulation.record
from tests.simulation.recorded import write
from tuning.cli.main import main
from tuning.simulation.record import Recorded


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the verb asks for; nothing is trained."""
    calls = []

    def record_study(study, options, progress):
        calls.append((study, options))
        return Recorded(write(tmp_path), "completed")

    monkeypatch.setattr(tuning.simulation.record, "record_study", record_study)
    return calls


def test_options_reach_the_recording_and_the_last_line_is_json(asked, capsys, tmp_path):
    out = tmp_path / "x.json"
    words = (
        "record housing --points 8 --sobol --seeds 2 --epochs 5 --json --quiet "
        "--devices 0 --slots-per-gpu 2 --gpu-hours 3 --cpu-hours 0.5"
    )
    assert main([*words.split(), "--out", str(out)]) == 0

    ((study, options),) = asked
    assert study == "housing"
    assert (options.points, options.sobol, options.seeds, options.out) == (8, True, 2, out)
    assert options.variant == {"epochs": 5}
    assert (options.devices, options.gpu_hours, options.cpu_hours) == ("0/2", 3.0, 0.5)

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["points"], result["rows"]) == (6, 30)
    assert result["recording"].endswith("made.json")


@pytest.mark.parametrize(
    ("status", "code"), [("interrupted", 130), ("terminated", 143), ("budget", 75)]
)
def test_a_recording_that_is_stopped_ends_with_its_code(status, code, monkeypatch, capsys):
    monkeypatch.setattr(tuning.simulation.record, "record_study", lambda *_: Recorded(None, status))
    assert main(["record", "housing", "--quiet"]) == code
    assert "the same command continues" in capsys.readouterr().err


def test_a_study_that_is_not_there_ends_with_2(capsys):
    assert main(["record", "hausing", "--quiet"]) == 2
    assert "Did you mean 'housing'?" in capsys.readouterr().err
