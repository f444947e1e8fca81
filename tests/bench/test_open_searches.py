"""The searches of a benchmark under way, on an executor that obeys the test."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.search.scripted import RECORD
from tuning.bench import open_searches as module
from tuning.bench.budget import Budget
from tuning.bench.open_searches import OpenSearches
from tuning.bench.plan import EngineChoice, Search
from tuning.bench.watch import Watch
from tuning.errors import StorageError
from tuning.executors.base import Died, Finished, Started
from tuning.ledger.search import SearchFiles
from tuning.search.stop_request import StopRequest
from tuning.trial import Proposal

CHOICE = EngineChoice("optuna:random")


class SilentExecutor:
    """A worker that loads and replays for a second, then begins a trial again and hangs in it."""

    def __init__(self, files, clock):
        self.clock = clock
        self.cancelled_at = None
        self._files = files
        self._job = ""

    def submit(self, job):
        self._job = job.id

    def cancel(self, job):
        self.cancelled_at = self.clock.now

    def events(self, timeout_s):
        self.clock.now += 0.1
        if self.clock.now < 0.15:
            return [Started(self._job, "cpu:0", 1)]
        if 0.95 < self.clock.now < 1.05:
            self._files.begin_attempt(0)
        if self.cancelled_at is not None or self.clock.now > 9.0:
            return [Finished(self._job, "a run")]
        return []


class ObedientExecutor:
    """Ends one job at each look, in the order in which they came: as `script` says, else well."""

    def __init__(self, script=()):
        self.script = list(script)
        self.submitted = []
        self._waiting = []

    def submit(self, job):
        self.submitted.append(job)
        self._waiting.append(job)

    def events(self, timeout_s):
        job = self._waiting.pop(0)
        end = self.script.pop(0) if self.script else Finished("", "a run")
        return [replace(end, job=job.id)]


def searches_in(folder):
    return [
        Search(
            study=RECORD.name,
            source="study.py",
            overrides={},
            choice=CHOICE,
            seed=seed,
            folder=folder / f"seed-{seed}",
            pinned="",
        )
        for seed in range(2)
    ]


def run(executor, searches, record=RECORD, **options):
    ended = []
    OpenSearches(
        executor,
        Budget("trials", 5),
        {record.name: record},
        stopping=StopRequest(),
        watch=Watch(),
        on_end=lambda search, run: ended.append(search.seed),
        **options,
    ).run(searches)
    return ended


def test_a_search_that_took_too_much_memory_goes_on_after_all_others_and_alone(tmp_path):
    searches = searches_in(tmp_path)
    files = SearchFiles(searches[0].folder)
    files.write_spec(Proposal(0, {"x": 1}, 4))
    files.begin_attempt(0)
    executor = ObedientExecutor([Died("", "host_oom", "the trial used 9 GB")])
    assert run(executor, searches) == [1, 0]
    assert [(job.id, job.alone) for job in executor.submitted] == [
        (searches[0].id, False),
        (searches[1].id, False),
        (searches[0].id, True),
    ]
    assert files.deaths(0, "host_oom") == 1


def test_a_full_disk_ends_a_benchmark_between_two_looks(tmp_path):
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 2:
            raise StorageError("the disk is full")

    executor = ObedientExecutor()
    with pytest.raises(StorageError, match="the disk is full"):
        run(executor, searches_in(tmp_path), on_tick=look)
    assert len(looks) == 2


def test_the_time_without_an_epoch_begins_with_the_attempt_not_with_its_worker(
    tmp_path, monkeypatch
):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    search, _ = searches_in(tmp_path)
    files = SearchFiles(search.folder)
    files.write_spec(Proposal(0, {"x": 1}, 4))
    files.begin_attempt(0)  # by a worker that was lost with its driver

    executor = SilentExecutor(files, clock)
    run(executor, [search], replace(RECORD, no_progress_timeout=0.5))
    assert executor.cancelled_at == pytest.approx(1.5, abs=0.21)
