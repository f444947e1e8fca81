"""The tracker for tests keeps the contract of the real one."""

from __future__ import annotations

from tests.tracking.contract import (
    Seen,
    TrackerContract,
    test_the_best_value_is_that_of_completed_trials_only,
)
from tuning.tracking.memory import MemoryTracker

__all__ = ["test_the_best_value_is_that_of_completed_trials_only"]


class TestMemoryTracker(TrackerContract):
    def tracker(self):
        return MemoryTracker()

    def again(self, tracker):
        return tracker

    def seen(self, tracker, search):
        return Seen(
            sorted(number for name, number, _ in tracker.trials if name == search.id),
            sorted(number for name, number, *_ in tracker.finalists if name == search.id),
            sorted(tracker.curves.get(search.id, {})),
            tracker.statuses[search.id],
            tracker.files.get(search.id, set()),
        )
