"""What a writer reads of a search: every result once, whatever the stores do."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from tests.tracking.writer import searches
from tuning.ledger import results
from tuning.tracking.writer import feed as feeds
from tuning.tracking.writer import project
from tuning.tracking.writer.feed import LedgerView
from tuning.tracking.writer.project import Projection

TRIALS = 40
READ = 8


class Store:
    """Takes all trials, some at a time; `gate` is waited for before each batch."""

    batch_size = 5

    def __init__(self, gate=None, fails=False):
        self.numbers = []
        self._gate = gate
        self._fails = fails

    def has(self, number, attempt):
        return number in self.numbers

    def record_trials(self, trials):
        if self._fails:
            raise OSError("down")
        if self._gate is not None:
            self._gate.wait()
        self.numbers += [proposal.number for proposal, _ in trials]
        return []

    def close(self):
        pass


@pytest.fixture
def files(tmp_path):
    files = searches.search(tmp_path)
    searches.add_trials(files, range(TRIALS), epochs=1)
    searches.end(files)
    return files


@pytest.fixture
def reads(monkeypatch):
    """How often each result is read."""
    count = Counter()
    read = results._read

    def counted(path):
        count[int(path.parent.name)] += 1
        return read(path)

    monkeypatch.setattr(results, "_read", counted)
    return count


def projection_into(files, monkeypatch, *stores):
    """Return a projection that writes into stores of the test, few trials at a time."""
    monkeypatch.setattr(project, "_READ", READ)
    monkeypatch.setattr(feeds, "_MOST_RECENT", 2 * READ)
    monkeypatch.setattr(project, "_WAIT_S", 1.0)
    projection = Projection(files.folder, files.folder, "memory", "memory")
    for feed, store in zip(projection.feeds, stores, strict=True):
        feed.connect = lambda header, store=store: store
        feed.write_rest = lambda ending: None
    return projection


@pytest.mark.parametrize("way", ["drain", "step"])
def test_a_search_that_is_in_no_store_is_read_once(files, reads, monkeypatch, way):
    stores = Store(), Store()
    projection = projection_into(files, monkeypatch, *stores)
    if way == "drain":
        projection.drain(30)
    else:
        projection.step(ending=True)
    assert projection.ended
    assert [store.numbers for store in stores] == [list(range(TRIALS))] * 2
    assert reads == dict.fromkeys(range(TRIALS), 1)
    assert projection.view.n_recent <= READ


def go_on_until(projection, is_done):
    """Poll, as the writer does, until something is so."""
    projection.start()
    until = time.monotonic() + 30
    while not is_done():
        assert time.monotonic() < until
        projection.poll()
        time.sleep(0.005)


def test_a_store_that_hangs_keeps_nothing_from_the_other_and_no_more_in_memory(
    files, reads, monkeypatch
):
    gate = threading.Event()
    hanging, free = Store(gate), Store()
    projection = projection_into(files, monkeypatch, hanging, free)
    go_on_until(projection, lambda: len(free.numbers) == TRIALS)
    assert (free.numbers, hanging.numbers) == (list(range(TRIALS)), [])
    assert projection.view.n_recent <= 2 * READ
    assert set(reads.values()) == {1}

    gate.set()
    projection.drain(30)
    assert hanging.numbers == list(range(TRIALS))
    assert max(reads.values()) == 2  # those that had left the memory


def test_a_store_that_is_down_is_not_waited_for(files, monkeypatch):
    free = Store()
    projection = projection_into(files, monkeypatch, Store(fails=True), free)
    monkeypatch.setattr(project, "_WAIT_S", 600.0)
    monkeypatch.setattr(project, "_CONNECT_S", 600.0)
    go_on_until(projection, lambda: len(free.numbers) == TRIALS)
    projection.stop()


def test_what_was_never_read_is_told_as_missing_too(files, monkeypatch):
    gate = threading.Event()
    projection = projection_into(files, monkeypatch, Store(fails=True), Store(gate))
    projection.drain(0.5)
    assert len(projection.view.order) < TRIALS
    for warning in projection.report(final=True).warnings:
        assert f"{TRIALS} of {TRIALS} trials and the end of the search are not written" in warning
    assert projection.note().trials == TRIALS
    projection.stop()
    gate.set()


def test_an_ask_that_was_lost_while_it_was_open_is_read_anew(tmp_path):
    files = searches.search(tmp_path)
    files.write_spec(searches.trial(0)[0])
    view = LedgerView(files.folder)
    view.poll()
    assert view.finished == {}
    (files.trial_folder(0) / "spec.json").unlink()
    proposal, result = searches.trial(0, epochs=5)
    files.write_spec(proposal)
    files.write_result(result)
    assert view.poll() == 1
    assert view.trial(0).proposal.epochs == 5
