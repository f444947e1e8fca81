"""What a builder starts and lets go: real processes of their own sessions, real kills."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.executors.contract import job, run
from tests.executors.test_forkserver import ROOT, alive
from tuning.executors.base import Died, Reported
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import LocalExecutor

DRIVER = """
import sys
from pathlib import Path
from tests.executors.contract import job
from tuning.executors.base import Reported
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.devices.leases import Leases
from tuning.executors.local import LocalExecutor

folder = Path(sys.argv[1])
server = ForkServer(["tuning.executors.worker"])
executor = LocalExecutor(
    parse_devices("cpu:1"), forkserver=server, leases=Leases(folder / "leases"), log_folder=folder
)
executor.submit(job("daemons_then_sleep", str(folder)))
while not any(isinstance(event, Reported) for event in executor.events(1.0)):
    pass
print(server.pid, server._process.pid, executor.slots[0].name, flush=True)
executor.events(600.0)
"""


@pytest.fixture
def server():
    with ForkServer(["tuning.executors.worker"]) as server:
        server.wait_ready()
        yield server


def executor_on(server, leases, folder):
    return LocalExecutor(
        parse_devices("cpu:1"), forkserver=server, leases=leases, log_folder=folder
    )


def wait_for(executor, kind, seconds=20.0):
    end = time.monotonic() + seconds
    while not any(isinstance(event, kind) for event in executor.events(0.5)):
        assert time.monotonic() < end


def daemons(folder):
    return [int(path.name.removeprefix("daemon-")) for path in folder.glob("daemon-*")]


def survivors(pids, seconds=3.0):
    """Return which of the processes live on."""
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return [pid for pid in pids if alive(pid)]


def test_nothing_that_a_trial_has_started_outlives_its_worker(server, leases, tmp_path):
    executor = executor_on(server, leases, tmp_path)
    worker = run(executor, job("daemons_of_all_kinds", str(tmp_path)), seconds=60.0)[-1].value
    left = daemons(tmp_path)
    assert len(left) == 5
    assert all(map(alive, left))
    name = executor.slots[0].name
    executor.close()
    # At once: the end of the worker is told after theirs.
    assert [pid for pid in (worker, *left) if alive(pid)] == []
    leases.try_acquire(name).release()


def test_what_a_killed_worker_leaves_is_gone_before_the_slot_serves_again(server, leases, tmp_path):
    with executor_on(server, leases, tmp_path) as executor:
        executor.submit(job("daemons_then_sleep", str(tmp_path)))
        wait_for(executor, Reported)
        pid = executor._workers[0].child.pid
        left = daemons(tmp_path)
        os.kill(pid, signal.SIGKILL)
        wait_for(executor, Died)
        assert [each for each in left if alive(each)] == []
        assert run(executor, job("double", 2))[-1].value == 4


@pytest.mark.parametrize("victim", ["driver", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_nothing_outlives_a_killed_driver_or_forkserver(leases, tmp_path, victim):
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        server, warden, name = driver.stdout.readline().split()
        left = daemons(tmp_path)
        assert len(left) == 5
        os.kill(driver.pid if victim == "driver" else int(server), signal.SIGKILL)
        assert survivors([*left, int(server), int(warden)]) == []
    finally:
        driver.kill()
        driver.wait()
        driver.stdout.close()
    leases.try_acquire(name).release()


def test_a_fork_of_a_worker_does_not_hold_its_lease(server, leases, tmp_path):
    executor = executor_on(server, leases, tmp_path)
    run(executor, job("daemonize", str(tmp_path)), seconds=60.0)
    lease = leases.folder / f"device-{executor.slots[0].name.replace(':', '%3A')}"
    (daemon,) = daemons(tmp_path)
    held = [os.readlink(fd) for fd in Path(f"/proc/{daemon}/fd").iterdir()]
    assert str(lease) not in held
    executor.close()
