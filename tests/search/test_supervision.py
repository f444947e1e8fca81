"""Runs whose parts die or hang, with real processes: they go on, or end in time and in words."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tuning.search.run
from tests.faults.home import own_home
from tests.faults.processes import Injector, is_alive, processes_of
from tests.patience import SOON_S
from tests.search.run_parts import FILE, NoWriter, options_of
from tuning.reports.progress import SilentProgress
from tuning.search.run import run_study
from tuning.storage.durable import read_json

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path, monkeypatch):
    return own_home(tmp_path, monkeypatch, devices="a,b")


class Driver:
    """A search in a process of its own, and what it says."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.search_driver", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []

    def until(self, key, text=""):
        """Read on to a line that has a key, whose value has a text in it."""
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if key in self.lines[-1] and text in str(self.lines[-1][key]):
                return self.lines[-1]
        raise AssertionError(f"it ended without {key} {text}: {self.process.stderr.read()[-3000:]}")

    def send(self, part, number):
        for process in processes_of(self.process.pid, part):
            process.send_signal(number)

    def notices(self):
        return [line["notice"] for line in self.lines if "notice" in line]

    def end(self, seconds=60):
        out, errors = self.process.communicate(timeout=seconds)
        self.lines += [json.loads(line) for line in out.splitlines()]
        return errors


def specs(home):
    """Return the proposals of the only search, by folder."""
    found = home.glob("ledger/*/*/trials/*/spec.json")
    return {path.parent.name: read_json(path)["params"] for path in found}


def tuning_run(study, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "tuning", "run", str(study), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Killer(SilentProgress):
    """Kills the engine after the first trial; keeps what is said."""

    def __init__(self):
        self.killed = 0
        self.notices = []

    def notice(self, text):
        self.notices.append(text)

    def finished(self, result, best):
        if not self.killed:
            for process in processes_of(os.getpid(), "engine"):
                process.kill()
                self.killed += 1


def test_a_search_goes_on_after_its_engine_was_killed_and_proposes_what_it_would_have(
    home, forkserver, monkeypatch
):
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    monkeypatch.setenv("TUNING_DEVICES", "a")  # one at a time: the order of tells is given
    summaries = []
    for progress in (killer := Killer(), SilentProgress()):
        options = dataclasses.replace(options_of("optuna:tpe", trials=6), fresh=True)
        summaries.append(run_study(FILE, options, progress, forkserver))
    assert killer.killed == 1
    assert any("a new engine was told" in notice for notice in killer.notices)
    disturbed, undisturbed = (
        [dict(proposal.params) for proposal, _ in summary.trials] for summary in summaries
    )
    assert disturbed == undisturbed


WRONG_ENDS = {
    "import os\nos._exit(3)": (2, "ended its process with exit code 3; does the study file"),
    "raise KeyboardInterrupt": (2, "KeyboardInterrupt"),
}


@pytest.mark.slow
@pytest.mark.parametrize("code", WRONG_ENDS)
def test_a_study_file_that_ends_its_process_is_told_as_such(home, tmp_path, code):
    study = tmp_path / "wrong.py"
    study.write_text(code + "\nSTUDY = None\n")
    done = tuning_run(study, "--quiet")
    _, errors = done.communicate(timeout=60)
    exit_code, words = WRONG_ENDS[code]
    assert done.returncode == exit_code
    assert words in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("after_s", [0.3, pytest.param(1.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_a_signal_in_the_first_second_ends_the_command_without_a_traceback(home, after_s, number):
    run = tuning_run(ROOT / "tests" / "search" / "run_parts.py", "--quiet")
    time.sleep(after_s)
    run.send_signal(number)
    began_at = time.monotonic()
    _, errors = run.communicate(timeout=60)
    assert time.monotonic() - began_at < SOON_S
    # Before Python runs our first line, the system ends it.
    assert run.returncode in (143, -number)
    assert "Traceback" not in errors


LOOP = """
from tests.search.run_parts import STUDY, build as whole

def build(n: int = 2, lr: float = 0.01):
    while True:
        pass

STUDY = STUDY.with_(builder=build)
"""


@pytest.mark.slow
@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
@pytest.mark.parametrize("is_stopped", [False, True])
def test_an_engine_that_hangs_in_the_builder_ends_with_the_command(
    home, tmp_path, signals, is_stopped
):
    study = tmp_path / "loops.py"
    study.write_text(LOOP)
    run = tuning_run(study, "--quiet")
    until = time.monotonic() + 60
    while not processes_of(run.pid, "engine"):
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(2.0)
    ours = processes_of(run.pid, "engine") + processes_of(run.pid, "forkserver")
    if is_stopped:
        for process in ours:
            process.send_signal(signal.SIGSTOP)
    began_at = time.monotonic()
    for number in signals:
        run.send_signal(number)
        time.sleep(0.2)
    run.communicate(timeout=30)
    assert time.monotonic() - began_at < SOON_S
    assert run.returncode in (130, 143)
    assert [process.pid for process in ours if is_alive(process)] == []


@pytest.mark.slow
def test_a_builder_that_loops_in_the_check_is_told_after_the_limit(home, tmp_path):
    study = tmp_path / "loops.py"
    study.write_text(LOOP)
    run = tuning_run(study, "--quiet", "--engine-timeout", "4s")
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "took more than 4 s; is there a loop without end?" in errors


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["searching", "training finalists", "evaluating the winner"])
@pytest.mark.parametrize("part", ["engine", "forkserver", "worker"])
def test_a_part_that_is_stopped_is_replaced_and_the_search_ends_with_its_winner(home, phase, part):
    driver = Driver("optuna:random", "trials=6")
    driver.until("phase", phase)
    driver.send(part, signal.SIGSTOP)
    end = driver.until("status")
    driver.end()
    assert end["counts"]["completed"] == 6
    assert end["winner"] is not None
    assert end["test"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "state", ["starting", "searching", "training finalists", "evaluating the winner"]
)
@pytest.mark.parametrize("part", [None, "engine", "forkserver", "worker"])
def test_sigterm_ends_a_run_within_ten_seconds_whatever_hangs(home, state, part):
    driver = Driver("optuna:random", "trials=6")
    driver.until("phase", state)
    if part is not None:
        driver.send(part, signal.SIGSTOP)
    began_at = time.monotonic()
    os.kill(driver.process.pid, signal.SIGTERM)
    driver.end(30)
    assert time.monotonic() - began_at < SOON_S
    status = next(home.glob("ledger/*/*/status.json"), None)
    if status is not None:
        assert read_json(status)["status"] == "terminated"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", ["engine", "worker", "forkserver"])
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_part_that_is_hit_at_random_moments_loses_and_doubles_nothing(home, part, number):
    hits = 0
    trials = 0
    for seed in range(40):
        trials += 200  # of some 30 ms
        # A worker that is hit three times in one trial makes that trial a failed one.
        driver = Driver("optuna:random", f"trials={trials}", "attempts=1000")
        # TensorFlow's import takes 5 s and more, in which a search makes no progress.
        pause_s = (2.0, 20.0) if part == "forkserver" else (0.5, 6.0)
        with Injector(
            driver.process.pid, part, number, pause_s=pause_s, most=20 - hits, seed=seed
        ) as injector:
            end = driver.until("status")
        driver.end()
        hits += len(injector.injections)
        assert sum(end["counts"].values()) == trials
        assert end["counts"]["completed"] == trials
        assert len(specs(home)) == trials
        if hits >= 20:
            return
    pytest.fail(f"only {hits} hits")
