"""Heartbeats, silence and what the documents say of them; real processes, really stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.executors.contract import job
from tuning.executors import forkserver
from tuning.executors.base import Died, Finished, Started
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import LocalExecutor
from tuning.executors.supervision import parts, silence
from tuning.executors.supervision.silence import Silence

JOBS = "tests.executors.jobs"
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


@pytest.fixture
def short_limits(monkeypatch):
    """Two heartbeats missed are enough."""
    for part in (parts.WORKER, parts.FORKSERVER):
        monkeypatch.setattr(part, "silence_s", 2.5)


@pytest.fixture
def executor(light_forkserver, leases, tmp_path, short_limits):
    with LocalExecutor(
        parse_devices("cpu:1"), forkserver=light_forkserver, leases=leases, log_folder=tmp_path
    ) as executor:
        yield executor


def until(executor, kind, seconds=15.0):
    """Return the first event of a kind."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for event in executor.events(0.2):
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} within {seconds} s")


def seconds_text(seconds):
    return "–" if seconds is None else f"{seconds:g} s"


@pytest.mark.parametrize("name", parts.PARTS)
def test_the_architecture_has_the_table_of_parts(name):
    part = parts.PARTS[name]
    row = (
        f"| {name} | `{part.name}` | {seconds_text(part.silence_s)} "
        f"| {seconds_text(part.answer_s)} | {part.restarts} | {part.gone} |"
    )
    assert row in ARCHITECTURE.read_text(encoding="utf-8")
    assert len(part.name) <= 15


def test_a_stopped_worker_without_any_limit_is_ended_and_the_slot_serves_again(executor):
    executor.submit(job("stop_itself"))
    died = until(executor, Died)
    assert died.cause == "killed"
    assert "gave no sign of life" in died.detail
    executor.submit(job("double", 4))
    assert until(executor, Finished).value == 8


@pytest.mark.slow
def test_a_stopped_worker_without_a_job_is_replaced_too(executor):
    executor.submit(job("where"))
    first = until(executor, Finished).value["pid"]
    os.kill(first, signal.SIGSTOP)
    end = time.monotonic() + 10
    while Path(f"/proc/{first}").exists():
        assert time.monotonic() < end, "it still lives"
        executor.events(0.2)
    executor.submit(job("where", id="again"))
    assert until(executor, Finished).value["pid"] != first


@pytest.mark.slow
def test_a_worker_that_computes_with_the_lock_of_python_is_let_be(executor):
    executor.submit(job("compute_with_the_gil", 4.0))
    assert until(executor, Finished).value == "computed"


@pytest.mark.slow
def test_a_stopped_forkserver_is_replaced_once_something_of_it_is_wanted(
    leases, tmp_path, short_limits
):
    with (
        ForkServer(["tuning.executors.worker"]) as server,
        LocalExecutor(
            parse_devices("cpu:1"), forkserver=server, leases=leases, log_folder=tmp_path
        ) as executor,
    ):
        executor.submit(job("sleep", 60))
        worker = until(executor, Started).pid
        os.kill(server.pid, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        assert until(executor, Died).cause == "lost"
        executor.submit(job("double", 2))
        assert until(executor, Finished).value == 4


def test_a_forkserver_that_is_killed_while_it_imports_is_begun_anew():
    with ForkServer(["tuning.executors.worker"]) as server:
        server.start()
        os.kill(server.pid, signal.SIGKILL)
        assert server.wait_ready(20.0) > 0


@pytest.mark.slow
def test_a_forkserver_that_is_lost_again_and_again_is_no_fault_of_a_slot(
    leases, tmp_path, monkeypatch
):
    monkeypatch.setattr(parts.FORKSERVER, "restarts", 100)
    monkeypatch.setattr(forkserver, "backoff_s", lambda failures: 0.0)
    with (
        ForkServer(["tuning.executors.worker", f"{JOBS}:import_slowly"]) as server,
        LocalExecutor(
            parse_devices("cpu:1"), forkserver=server, leases=leases, log_folder=tmp_path
        ) as executor,
    ):
        executor.submit(job("double", 2))
        for _ in range(7):
            lost = server.pid
            os.kill(lost, signal.SIGKILL)
            while server.pid in (lost, 0):
                executor.events(0.05)
        assert until(executor, Finished).value == 4


def test_processes_are_named_by_their_part(light_forkserver):
    child = light_forkserver.spawn(f"{JOBS}:echo", name=parts.ENGINE.name)
    child.wire.send("here")
    assert child.wire.recv(5.0) == "here"
    names = [
        Path(f"/proc/{pid}/comm").read_text().strip()
        for pid in (light_forkserver.pid, child.pid or child.poll() or child.pid)
    ]
    assert names == [parts.FORKSERVER.name, parts.ENGINE.name]
    child.wire.send(None)
    child.join(5.0)
    child.close()


def test_heartbeats_are_counted_and_are_no_messages(light_forkserver):
    child = light_forkserver.spawn(f"{JOBS}:echo")
    before = child.wire.n_heard
    with pytest.raises(TimeoutError):
        child.wire.recv(1.3)
    assert child.wire.n_heard > before
    child.wire.send("word")
    assert child.wire.recv(5.0) == "word"
    child.wire.send(None)
    child.join(5.0)
    child.close()


def test_the_time_in_which_the_driver_itself_was_stopped_does_not_count(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(silence.time, "monotonic", lambda: now[0])
    watch = Silence(20.0)
    now[0] = 600.0
    assert not watch.exceeded(0, os.getpid())
    assert watch.seconds <= 2.0


STOPPED = """
import os, signal, sys
from tuning.executors.supervision.linux import go_on_without_parent
if os.fork() == 0:
    go_on_without_parent()
    os.kill(os.getpid(), signal.SIGSTOP)
    open(sys.argv[1], "w").write("went on")
    os._exit(0)
os.waitid(os.P_ALL, 0, os.WSTOPPED)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_stopped_process_that_outlives_its_parent_goes_on_when_that_is_killed(tmp_path):
    subprocess.run([sys.executable, "-c", STOPPED, str(tmp_path / "said")], timeout=30)
    end = time.monotonic() + 10
    while not (tmp_path / "said").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert (tmp_path / "said").exists()
