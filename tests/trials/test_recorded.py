"""Points of a recording: a seed of their own, and the times of their epochs."""

from __future__ import annotations

import pytest

from tests.trials.small_study import ScriptedContext, job, study
from tests.trials.test_trial import greedy
from tuning.trial import Status
from tuning.trials.jobs import RecordJob, training_seed
from tuning.trials.recorded import run_recorded


def recorded(folder, index=0, **settings):
    plain = job(folder, study(cv=2), **settings)
    point = RecordJob(
        source=plain.source,
        overrides={},
        proposal=plain.proposal,
        folder=plain.folder,
        index=index,
    )
    return run_recorded(point, ScriptedContext())


@pytest.mark.parametrize("index", [0, 3])
def test_each_seed_of_a_recording_is_trained_on_in_all_folds(tmp_path, index):
    result = recorded(tmp_path, index)
    assert {fold.seed for fold in result.folds} == {training_seed(1, index)}
    assert result.seed == training_seed(1, index)


def test_each_row_of_a_curve_has_the_seconds_since_its_fit_began(tmp_path):
    for fold in recorded(tmp_path).folds:
        seconds = [row["seconds"] for row in fold.curve]
        assert seconds == sorted(seconds)
        assert fold.seconds == seconds[-1]


def test_a_point_that_runs_out_of_memory_is_trained_at_half_the_batch(tmp_path, monkeypatch):
    batch_sizes = greedy(monkeypatch, limit=8)
    result = recorded(tmp_path, params={"batch_size": 16})
    assert batch_sizes == [16, 8, 8]
    assert (result.status, result.batch_size) == (Status.COMPLETED, 8)
