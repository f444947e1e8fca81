"""Commands in the midst of their work: SIGTERM, SIGHUP and two Ctrl-C end each within 10 s."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.home import own_home
from tests.faults.processes import processes_of
from tests.tracking.writer import searches
from tests.tracking.writer.test_writer import runs
from tuning.executors.devices.leases import Leases, release
from tuning.storage.durable import read_json

ROOT = Path(__file__).parents[2]
STUDY = str(ROOT / "tests" / "search" / "run_parts.py")
SIGNALS = {
    "SIGTERM": ([signal.SIGTERM], (143,)),
    "SIGHUP": ([signal.SIGHUP], (143,)),
    # Where the first has ended the command, Python leaves the second to the system: 130 as well.
    "two Ctrl-C": ([signal.SIGINT, signal.SIGINT], (130, -signal.SIGINT)),
}
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("sent", SIGNALS)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    return own_home(tmp_path, monkeypatch, devices="a")


@pytest.fixture
def start():
    """Begin a command; it is ended with the test, however that ends."""
    commands = []

    def begin(*words):
        command = subprocess.Popen(
            [sys.executable, "-m", "tuning", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        commands.append(command)
        return command

    yield begin
    for command in commands:
        command.kill()
        command.wait()


def wait_until(command, is_so, seconds=150):
    until = time.monotonic() + seconds
    while not is_so():
        assert command.poll() is None, command.communicate()[1][-3000:]
        assert time.monotonic() < until, "it does not come to that state"
        time.sleep(0.05)


def send(command, sent):
    """Send the signals; the command ends in time, without a traceback."""
    numbers, _ = SIGNALS[sent]
    began_at = time.monotonic()
    for number in numbers:
        command.send_signal(number)
        time.sleep(0.3)
    _, errors = command.communicate(timeout=60)
    assert time.monotonic() - began_at < 10
    assert "Traceback" not in errors


def end(command, sent):
    """Send the signals; the command ends as it should, and leaves no process."""
    parts = ("forkserver", "engine", "worker")
    ours = [process for part in parts for process in processes_of(command.pid, part)]
    send(command, sent)
    assert command.returncode in SIGNALS[sent][1]
    assert [process.pid for process in ours if process.is_running()] == []


def status_of(home):
    return read_json(next(home.glob("ledger/*/*/status.json")))["status"]


def results(home):
    return list(home.glob("ledger/*/*/trials/*/result.json"))


def test_a_search_that_waits_for_a_device(home, start, sent):
    lease = Leases().acquire_all(["a"], "another")
    assert lease is not None
    try:
        command = start("run", STUDY, "--quiet")
        wait_until(command, lambda: list(home.glob("ledger/*/*/trials/*/spec.json")))
        time.sleep(1.0)
        end(command, sent)
    finally:
        release(lease)
    assert status_of(home) in ("terminated", "interrupted")


def test_a_search_whose_engine_is_told_again(home, start, sent):
    first = start("run", STUDY, "--quiet", "--trials", "300")
    wait_until(first, lambda: len(results(home)) >= 3)
    first.kill()
    first.communicate()
    status = next(home.glob("ledger/*/*/status.json"))
    again = start("run", STUDY, "--quiet", "--trials", "300")
    began_at = time.time()
    wait_until(again, lambda: status.stat().st_mtime > began_at)
    for process in processes_of(again.pid, "engine"):
        process.send_signal(signal.SIGSTOP)
    end(again, sent)
    assert status_of(home) in ("terminated", "interrupted")


def test_a_search_that_waits_for_a_server_to_take_its_runs(home, monkeypatch, start, sent):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:  # it never answers
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        command = start("run", STUDY, "--quiet", "--trials", "2")
        wait_until(command, lambda: list(home.glob("ledger/*/*/winner.json")))
        wait_until(command, lambda: status_of(home) == "completed")
        time.sleep(1.0)  # the writer is waited for
        send(command, sent)
    # All of the search is done and on disk.
    assert status_of(home) == "completed"


COMMANDS = {
    "bench": (
        "bench",
        STUDY,
        "--engines",
        "optuna:random",
        "--seeds",
        "2",
        "--budget",
        "trials=90",
    ),
    "record": ("record", STUDY, "--points", "90", "--sobol", "--epochs", "200"),
    "lr-range": ("lr-range", STUDY, "--steps", "200000", "--devices", "cpu"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_another_command_at_work(home, monkeypatch, start, name, sent):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    command = start(*COMMANDS[name])
    wait_until(command, lambda: processes_of(command.pid, "worker"))
    time.sleep(2.0)
    end(command, sent)


def test_a_search_that_writes_its_report(home, monkeypatch, start, sent):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    command = start("run", STUDY, "--quiet", "--trials", "12")
    # The winner is there, and its processes end; what comes before the status is the report.
    wait_until(command, lambda: list(home.glob("ledger/*/*/winner.json")))
    time.sleep(0.3)
    assert status_of(home) == "running"
    send(command, sent)
    _, codes = SIGNALS[sent]
    ends = {"completed": (0,), "interrupted": codes, "terminated": codes}
    assert command.returncode in ends[status_of(home)]
    for report in home.glob("reports/*.html"):  # whole, where there is one
        assert report.read_text().rstrip().endswith("</html>")
    assert list(home.glob("ledger/*/*/winner.json"))


WRITING = {"sync": ("sync",), "doctor": ("doctor", "--fix")}


@pytest.mark.parametrize("name", WRITING)
def test_a_command_that_writes_the_databases_anew(home, start, name, sent):
    files = searches.search(home)
    searches.add_trials(files, range(4000), epochs=5)
    searches.end(files)
    command = start(*WRITING[name])
    wait_until(command, lambda: (home / "mlflow.db").exists() and _n_runs(home) >= 100)
    end(command, sent)
    assert status_of(home) == "completed"

    again = start("sync")
    again.communicate(timeout=180)
    assert again.returncode == 0
    attempts = [attempt for attempt, _ in runs(home)]
    assert len(attempts) == len(set(attempts)) == 4000


def _n_runs(home):
    try:
        return len(runs(home))
    except sqlite3.OperationalError:  # it is being made
        return 0
