"""What an interrupted trial leaves for its next attempt."""

from __future__ import annotations

import pytest

from tests.trials.small_study import ScriptedContext, job, study
from tuning.trial import Answer
from tuning.trials import checkpoint
from tuning.trials.earlier_attempts import (
    folds_of_earlier_attempts,
    newest_checkpoint,
    trained_by_earlier_attempts,
)
from tuning.trials.jobs import Stopped
from tuning.trials.trial import run_trial


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A trial of two folds of four epochs, stopped in the second epoch of the second fold."""
    monkeypatch.setattr(checkpoint, "KEEP_EVERY_S", 1e-9)
    with pytest.raises(Stopped):
        run_trial(job(tmp_path, study(cv=2)), ScriptedContext(Answer.STOP, at=5))
    return tmp_path


def test_a_fold_that_had_ended_is_found_again(interrupted):
    assert [result.fold for result in folds_of_earlier_attempts(interrupted)] == [0]


def test_epochs_that_will_be_reported_again_do_not_count(interrupted):
    before = trained_by_earlier_attempts(interrupted)
    (ended,) = folds_of_earlier_attempts(interrupted)
    assert before.epochs == len(ended.curve) == 4
    assert before.seconds > ended.seconds


def test_the_newest_checkpoint_is_that_of_the_last_attempt(tmp_path):
    for attempt in (2, 10, 9):
        folder = tmp_path / f"attempt-{attempt}"
        folder.mkdir()
        (folder / "fold-0.npz").touch()
    assert newest_checkpoint(tmp_path, 0) == tmp_path / "attempt-10" / "fold-0.npz"
    assert newest_checkpoint(tmp_path, 1) is None


def test_a_trial_that_was_never_begun_has_nothing_behind_it(tmp_path):
    assert trained_by_earlier_attempts(tmp_path) == (0, 0.0)
