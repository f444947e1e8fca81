"""What every tracker does: nothing is doubled, whatever is called again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.tracking.writer.searches import trial
from tuning.tracking.base import SearchRecord, progress_points
from tuning.trial import Status


@dataclass(frozen=True)
class Seen:
    """A search as a person finds it in the tracker: trial numbers, steps of the anytime curve,
    status, files.
    """

    trials: list[int]
    finalists: list[int]
    steps: list[int]
    status: str
    files: set[str]


def record(name: str = "toy-optuna-tpe-00000001") -> SearchRecord:
    return SearchRecord(
        id=name,
        study=name.split("-")[0],
        engine="optuna:tpe",
        metric="val_rmse",
        direction="minimize",
        created_at=1_760_000_000.0,
    )


class TrackerContract:
    """Inherited by one class for each tracker, with `tracker`, `again` and `seen`."""

    def tracker(self):
        raise NotImplementedError

    def again(self, tracker):
        """Return a tracker as a new process would open it."""
        raise NotImplementedError

    def seen(self, tracker, search: SearchRecord) -> Seen:
        raise NotImplementedError

    @pytest.fixture
    def search(self, request):
        return record(f"toy{abs(hash(request.node.nodeid)) % 10**8}-optuna-tpe-00000001")

    def test_a_trial_recorded_twice_is_there_once(self, search):
        tracker = self.tracker()
        tracker.begin(search)
        for number in (0, 1, 0):
            tracker.record_trial(*trial(number))
        assert self.seen(tracker, search).trials == [0, 1]

    def test_a_new_process_finds_what_the_one_before_has_recorded(self, search):
        first = self.tracker()
        first.begin(search)
        first.record_trial(*trial(0))
        second = self.again(first)
        second.begin(search)
        second.record_trial(*trial(0))
        second.record_trial(*trial(1))
        assert self.seen(second, search).trials == [0, 1]

    def test_of_a_trial_that_was_trained_again_only_the_attempt_that_counts_is_there(self, search):
        first = self.tracker()
        first.begin(search)
        proposal, result = trial(0)
        first.record_trials([(proposal, result), trial(1)])
        first.record_trial(proposal, replace(result, attempt=2))
        again = self.again(first)
        again.begin(search)
        again.record_trial(proposal, replace(result, attempt=3))
        assert self.seen(again, search).trials == [0, 1]

    def test_the_anytime_curve_has_each_step_once(self, search):
        tracker = self.tracker()
        tracker.begin(search)
        results = [trial(number)[1] for number in range(3)]
        tracker.record_progress(progress_points(search, results[:2]))
        again = self.again(tracker)
        again.begin(search)
        again.record_progress(progress_points(search, results))
        assert self.seen(again, search).steps == [1, 2, 3]

    def test_a_finalist_is_not_a_trial(self, search):
        tracker = self.tracker()
        tracker.begin(search)
        proposal, result = trial(4)
        for _ in range(2):
            tracker.record_finalist(proposal, 0, replace(result, seed=99))
        seen = self.seen(tracker, search)
        assert (seen.trials, seen.finalists) == ([], [4])

    def test_a_finalist_of_a_changed_study_is_another(self, search):
        tracker = self.tracker()
        tracker.begin(search)
        proposal, result = trial(4)
        for version in (1, 2, 2):
            tracker.record_finalist(proposal, 0, replace(result, seed=99), version)
        assert self.seen(tracker, search).finalists == [4, 4]

    def test_a_search_runs_until_it_ends(self, search):
        tracker = self.tracker()
        tracker.begin(search)
        assert self.seen(tracker, search).status == "running"
        tracker.end("completed", 1_760_000_100.0)
        assert self.seen(tracker, search).status == "completed"

    def test_files_are_shown(self, search, tmp_path):
        tracker = self.tracker()
        tracker.begin(search)
        (tmp_path / "cv_results.csv").write_text("a,b\n")
        tracker.keep_files(tmp_path)
        tracker.keep_files(tmp_path / "cv_results.csv")
        assert self.seen(tracker, search).files == {"cv_results.csv"}


def test_the_best_value_is_that_of_completed_trials_only():
    results = [
        replace(trial(0)[1], value=0.9),
        replace(trial(1)[1], value=0.1, status=Status.PRUNED),
    ]
    assert [point.best for point in progress_points(record(), results)] == [(0.9, 0), (0.9, 0)]
