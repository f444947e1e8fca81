"""Whole searches whose slots come and go, and whose time is up: what the trials say of it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

import tuning.search.run
from tests.chaos.nothing_lost import Findings, check_leases, results_of
from tests.chaos.plans import MOVING
from tests.chaos.traces import attempts_of, check_traces
from tests.faults.processes import processes_of
from tuning.reports.progress import SilentProgress
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.search.slots.requests import write_request
from tuning.storage.durable import read_json
from tuning.study.study import load_study

DEVICES = "GPU-a,GPU-b,GPU-c"
EPOCHS = 15
TRIALS = 6
MOMENT_S = 0.7

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]


@pytest.fixture
def study():
    return replace(load_study(MOVING), trials=TRIALS, epochs=EPOCHS)


@pytest.fixture
def home(traces):
    return traces.parent / "home"


def search_of(home):
    (header,) = home.glob("ledger/moving/*/search.json")
    return header.parent


class Acting(SilentProgress):
    """Does the next of some things whenever so many epochs have been trained, once begun.

    Epochs are told in groups: an act has a moment before the next one.
    """

    def __init__(self, every, *acts, begins_after=0):
        self.acts = list(acts)
        self.notices = []
        self._every = every
        self._n_epochs = -begins_after  # since the last act
        self._acted_at = 0.0

    def epoch(self, slot, report):
        self._n_epochs += 1
        is_due = self._n_epochs >= self._every and time.monotonic() > self._acted_at + MOMENT_S
        if is_due and self.acts:
            self.acts.pop(0)()
            self._n_epochs = 0
            self._acted_at = time.monotonic()

    def notice(self, text):
        self.notices.append(text)


def values(findings, home):
    results = results_of(search_of(home), findings)
    return {number: result["value"] for number, result in results.items()}


def test_slots_that_come_and_go_and_a_killed_worker_lose_no_epoch(
    study, traces, home, forkserver, tmp_path
):
    killed = set()

    def kill():
        worker = processes_of(os.getpid(), "worker")[0]
        killed.add(worker.pid)
        worker.send_signal(signal.SIGKILL)

    acting = Acting(
        6,
        lambda: write_request(search_of(home), "0"),
        lambda: write_request(search_of(home), "1,2"),
        kill,
        lambda: write_request(search_of(home), "auto"),
    )
    run_study(study, RunOptions(devices="gpu"), acting, forkserver)

    findings = Findings()
    folder = search_of(home)
    assert not acting.acts
    assert acting.notices[:2] == ["slots from now on: GPU-a", "slots from now on: GPU-b, GPU-c"]
    n_taken_up = check_traces(traces, folder, findings, killed=killed, epochs=EPOCHS)
    assert len(values(findings, home)) == TRIALS
    check_leases(tmp_path / "leases", findings)
    assert not findings, findings
    assert n_taken_up >= 1
    # Only the kill counts to `attempts`.
    assert len(list(folder.glob("trials/*/attempt-*/died.json"))) <= len(killed)
    assert list(folder.glob("slots.*")) == []


def test_numbers_are_those_of_trials_that_never_moved(study, home, forkserver, monkeypatch):
    acting = Acting(
        10,
        lambda: write_request(search_of(home), "0"),
        lambda: write_request(search_of(home), "1,2"),
        lambda: write_request(search_of(home), "0,2"),
    )
    run_study(study, RunOptions(devices="gpu"), acting, forkserver)
    findings = Findings()
    moved = values(findings, home)

    elsewhere = home.with_name("undisturbed")
    monkeypatch.setenv("TUNING_HOME", str(elsewhere))
    run_study(study, RunOptions(devices="gpu"), forkserver=forkserver)
    assert values(findings, elsewhere) == moved


def test_finalists_go_on_at_their_epoch_too(study, traces, home, forkserver, monkeypatch):
    acting = Acting(
        8,
        lambda: write_request(search_of(home), "0"),
        lambda: write_request(search_of(home), "1,2"),
        lambda: write_request(search_of(home), "0,2"),
        begins_after=TRIALS * EPOCHS,
    )
    summary = run_study(study, RunOptions(devices="gpu"), acting, forkserver)
    assert not acting.acts
    findings = Findings()
    folder = search_of(home)
    assert check_traces(traces, folder, findings, killed=(), epochs=EPOCHS) >= 1
    assert not findings, findings
    assert not list(folder.glob("finalists/*/*.kept-*"))

    monkeypatch.setenv("TUNING_HOME", str(home.with_name("undisturbed")))
    undisturbed = run_study(study, RunOptions(devices="gpu"), forkserver=forkserver)
    assert summary.winner.values == undisturbed.winner.values


FUNCTION = """
import time
from tuning import Float, Minimize, Study
from tuning.trials.functions import no_data

def slow(x: float = 0.0, fidelity: float = 1.0) -> float:
    time.sleep(0.05)
    return x * x * fidelity

STUDY = Study(
    name="moving", builder=slow, data=no_data, objective=Minimize("val_loss"),
    space={"x": Float(-1.0, 1.0)}, trainer="function", engine="optuna:random", trials=3,
    epochs=20, patience=None, top_k=1, seeds=1, seed=3,
)
"""


def test_a_function_ends_though_slots_change_faster_than_it_does(traces, home, forkserver):
    file = traces.parent / "function.py"
    file.write_text(FUNCTION)
    changes = [lambda: write_request(search_of(home), "0")]
    changes.append(lambda: write_request(search_of(home), "1"))
    acting = Acting(8, *changes * 100)  # a trial has 20 epochs: it would never end
    summary = run_study(load_study(str(file)), RunOptions(devices="0"), acting, forkserver)
    assert summary.counts["completed"] == 3
    told = [words for words in acting.notices if "has left its slot" in words]
    assert "of a plain function nothing is kept: it begins anew" in told[0]
    assert any(words.endswith("stays on the next slot until it has ended") for words in told)
    # Twice for each trial, a third time none of them has left.
    assert len(told) <= 2 * 3


def n_epochs_of(trial):
    return sum(len(each.epochs) for each in attempts_of(trial / "callbacks-0" / "epochs"))


class Moment:
    """Stands in for `Until`."""

    has_come = False
    seconds_left = 3600.0

    def come(self):
        self.has_come = True


def test_until_a_moment_trials_stop_at_checkpoints_and_the_same_command_goes_on(
    study, traces, home, forkserver, monkeypatch
):
    moment = Moment()
    monkeypatch.setattr(tuning.search.run.Until, "of", lambda text: moment)
    summary = run_study(study, RunOptions(devices="gpu"), Acting(12, moment.come), forkserver)
    folder = search_of(home)
    assert summary.status == "until"
    assert read_json(folder / "status.json")["status"] == "until"
    assert not list(folder.glob("finalists/*"))
    begun = [path.parents[1] for path in folder.glob("trials/*/callbacks-0/epochs")]
    stopped = [trial for trial in begun if not (trial / "result.json").exists()]
    trained = [trial for trial in stopped if n_epochs_of(trial)]
    assert trained
    assert [trial for trial in stopped if list(trial.glob("attempt-1/fold-0.npz"))] == trained

    moment.has_come = False
    summary = run_study(study, RunOptions(devices="gpu"), forkserver=forkserver)
    findings = Findings()
    check_traces(traces, folder, findings, killed=(), epochs=EPOCHS)
    assert not findings, findings
    assert summary.status == "completed"
    assert len(values(findings, home)) == TRIALS
