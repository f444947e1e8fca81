"""Trials that end one after another share what a transaction costs; the end waits for nothing."""

from __future__ import annotations

import time

from tests.tracking.writer.searches import add_trials, end, search
from tuning.tracking.writer.project import Projection


class Store:
    """Notes how many trials it is given at once."""

    batch_size = 250

    def __init__(self):
        self.batches = []

    def has(self, number, attempt):
        return False

    def record_trials(self, trials):
        self.batches.append(len(trials))
        return []

    def close(self):
        pass


def test_quick_trials_are_written_together(tmp_path):
    files = search(tmp_path)
    projection = Projection(files.folder, tmp_path, "unused", "unused")
    stores = [Store(), Store()]
    for feed, store in zip(projection.feeds, stores, strict=True):
        feed.connect = lambda header, store=store: store
    projection.start()
    for number in range(20):
        add_trials(files, range(number, number + 1))
        projection.poll()
        time.sleep(0.03)
    end(files)
    began = time.monotonic()
    projection.drain(5.0)
    assert projection.ended
    assert time.monotonic() - began < 0.9  # it waits for no more trials
    for store in stores:
        assert sum(store.batches) == 20
        assert len(store.batches) <= 6
