"""Seconds of what `make soak` does for half an hour: parts are hit while a search runs."""

from __future__ import annotations

import os
import random
import signal
import threading
from dataclasses import replace

import psutil

import tuning.search.run
from tests.chaos.nothing_lost import Findings, check_leases, results_of
from tests.chaos.plans import QUICK
from tests.faults.processes import processes_of
from tests.search.run_parts import NoWriter
from tuning.executors.supervision.parts import ENGINE, WORKER
from tuning.reports.progress import SilentProgress
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.storage.durable import read_json
from tuning.study.study import load_study

TRIALS = 30
HITS = (
    ("worker", signal.SIGKILL),
    ("engine", signal.SIGKILL),
    ("worker", signal.SIGSTOP),
    ("worker", signal.SIGKILL),
    ("engine", signal.SIGSTOP),
)


class Hitting(SilentProgress):
    """Hits a part now and then, at random moments after a trial's end."""

    def __init__(self):
        self.hits = []
        self._chance = random.Random(5)
        self._timers = []

    def finished(self, result, best):
        if len(self._timers) < len(HITS) and result.number % 4 == 1:
            what = HITS[len(self._timers)]
            timer = threading.Timer(self._chance.uniform(0.0, 0.1), self._hit, what)
            self._timers.append(timer)
            timer.start()

    def __exit__(self, *_):
        for timer in self._timers:
            timer.join()

    def _hit(self, part, number):
        for process in processes_of(os.getpid(), part)[:1]:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
            self.hits.append((part, number))


def test_a_search_whose_parts_are_killed_and_stopped_loses_and_doubles_nothing(
    tmp_path, forkserver, monkeypatch
):
    home = tmp_path / "home"
    monkeypatch.setenv("TUNING_HOME", str(home))
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    for part in (ENGINE, WORKER):
        monkeypatch.setattr(part, "silence_s", 1.0)
    study = replace(load_study(QUICK), trials=TRIALS, engine="optuna:random", top_k=1, seeds=1)
    summary = run_study(study, RunOptions(devices="cpu:2"), hitting := Hitting(), forkserver)

    assert len(hitting.hits) >= len(HITS) - 1  # one may have come between two processes
    findings = Findings()
    (header,) = home.glob("ledger/quick/*/search.json")
    folder = header.parent
    results = results_of(folder, findings)
    check_leases(tmp_path / "leases", findings)
    assert not findings, findings
    assert summary.counts["completed"] == len(results) == TRIALS
    assert read_json(folder / "status.json")["status"] == "completed"
    assert min(each["value"] for each in results.values()) == summary.best[1].value
