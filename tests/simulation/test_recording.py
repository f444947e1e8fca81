"""A recording on disk: whole again when it is read, refused when it was changed."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.simulation.recorded import GRID, result_of, seconds_of, value_of, write
from tuning.errors import NewerFileError, StudyError
from tuning.simulation.manifest import RecordingManifest
from tuning.simulation.recording import SHIPPED, find_recording, load_recording
from tuning.trial import Status

OLD = Path(__file__).parents[1] / "release_0_1" / "mlruns" / "recordings" / "old_study.json"


def test_curves_seconds_and_statuses_come_back_as_they_were(tmp_path):
    read = load_recording(write(tmp_path, seeds=[5, 6], cv=2, ends={1: Status.FAILED}))
    points = GRID.grid()
    assert list(read.points) == points
    assert read.values.shape == (6, 2, 2, 4)
    assert read.values[2, 1, 0, 3] == value_of(points[2], 1, 0, 4)
    assert read.seconds[2, 1, 1, 2] == seconds_of(points[2], 3)
    assert np.isnan(read.values[1]).all()
    assert read.status[1, 0] == "failed"
    assert (read.lengths[2, 0] == 4).all()
    assert read.overhead_s[2, 0] == pytest.approx(0.5)
    assert read.rss_mb[0, 0] == 300.0


def test_parameters_keep_their_types(tmp_path):
    assert {type(point["n"]) for point in load_recording(write(tmp_path)).points} == {int}


def test_a_table_that_was_changed_is_refused_by_its_sha256(tmp_path):
    path = write(tmp_path)
    table = path.with_suffix(".parquet")
    stored = bytearray(table.read_bytes())
    stored[len(stored) // 2] ^= 1
    table.write_bytes(stored)
    with pytest.raises(StudyError, match=r"its sha256 is .* the manifest has .* record it anew"):
        load_recording(path)


def test_a_table_that_is_not_there_is_told(tmp_path):
    path = write(tmp_path)
    path.with_suffix(".parquet").unlink()
    with pytest.raises(StudyError, match=r"made\.parquet is not beside it"):
        load_recording(path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("format", 99, "no recording of format 1"),
        ("rows", 3, "the manifest has 3"),
        ("points", 7, "there are 6 points, the manifest has 7"),
        ("epochs", 2, "'epoch' is not within 0 … 2"),
        ("parquet", "../made.parquet", "not beside it"),
        ("parquet", "1" * 400, "its table 1{100} is not beside it"),
        (
            "objective",
            {"metric": "val_auc", "direction": "maximize"},
            "the column 'val_auc' is missing",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_its_table_is_refused(tmp_path, field, value, words):
    path = write(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(StudyError, match=words):
        load_recording(path)


def test_a_manifest_with_another_name_is_refused_and_told_what_to_call_it(tmp_path):
    renamed = write(tmp_path).rename(tmp_path / "other.json")
    with pytest.raises(StudyError, match=r"of made\.parquet: name it made\.json again"):
        load_recording(renamed)


def test_a_recording_of_the_state_folder_goes_before_one_that_ships(tmp_path):
    assert find_recording("housing_grid", tmp_path) == SHIPPED / "housing_grid.json"
    (tmp_path / "recordings").mkdir()
    own = tmp_path / "recordings" / "housing_grid.json"
    own.write_text("{}")
    assert find_recording("housing_grid", tmp_path) == own
    assert find_recording("nothing", tmp_path) is None
    assert find_recording("some/where.parquet", tmp_path).name == "where.json"


def test_the_recording_that_ships_is_whole_and_small():
    path = find_recording("housing_grid", SHIPPED)
    read = load_recording(path)
    assert len(read.points) == 27
    assert read.values.shape == (27, 3, 2, 30)
    assert path.with_suffix(".parquet").stat().st_size < 5e6
    assert np.nanmin(read.values) > 0.3


def test_a_recording_of_release_0_1_is_read():
    read = load_recording(OLD)
    assert (read.manifest.study, len(read.points)) == ("old_study", 2)
    assert read.values.shape == (2, 3, 1, 2)
    assert np.isfinite(read.values).all()
    assert "space" not in json.loads(OLD.read_text())


def test_a_manifest_is_whole_again_when_it_is_read(tmp_path):
    before = load_recording(write(tmp_path, seeds=[5, 6], cv=2)).manifest
    stored = json.loads(json.dumps(before.to_json()))
    assert RecordingManifest.from_json(stored) == before
    assert before.space.domains == GRID.domains
    assert (stored["schema"], stored["format"], stored["points"], stored["folds"]) == (2, 1, 6, 2)


def test_a_manifest_of_a_newer_release_is_refused_and_left_alone(tmp_path):
    path = write(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    stored = path.read_bytes()
    with pytest.raises(NewerFileError, match=r"made\.json: it was written by a newer release"):
        load_recording(path)
    assert path.read_bytes() == stored


def test_a_manifest_that_lacks_something_says_what(tmp_path):
    path = write(tmp_path)
    stored = json.loads(path.read_text())
    del stored["seeds"]
    path.write_text(json.dumps(stored))
    with pytest.raises(StudyError, match=r"'seeds' is missing; record it anew"):
        load_recording(path)


def test_a_trial_that_diverged_keeps_the_epochs_it_has(tmp_path):
    read = load_recording(write(tmp_path, ends={0: Status.DIVERGED}))
    assert read.status[0, 0] == "diverged"
    assert read.lengths[0, 0, 0] == 4
    assert result_of(0, GRID.grid()[0], 0, read.manifest, status=Status.DIVERGED).value is None
