"""A slot is held for a trial: real executors, with workers of their own, on one device."""

import time
from contextlib import ExitStack
from functools import partial

import psutil
import pytest

from tests.executors.contract import TurnsContract, check_turns, job, run, share_one_slot
from tests.patience import SOON_S
from tuning.executors import turns
from tuning.executors.devices.leases import Leases
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import LocalExecutor


class _Own(LocalExecutor):
    """An executor with leases of its own, as each search has them."""

    def __init__(self, folder, devices, servers):
        self._own_leases = Leases(folder / "leases")
        super().__init__(
            parse_devices(devices),
            forkserver=servers.pop(),
            leases=self._own_leases,
            log_folder=folder / "logs",
        )

    def close(self):
        super().close()
        self._own_leases.close()


@pytest.fixture(scope="module")
def servers():
    """Four that have begun, so that executors come in line together."""
    with ExitStack() as stack:
        servers = [stack.enter_context(ForkServer(["tuning.executors.worker"])) for _ in range(4)]
        for server in servers:
            server.wait_ready()
        yield servers


@pytest.fixture(params=["cpu:1", "gpu"])
def open_executor(request, tmp_path, monkeypatch, servers):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-stand-in")
    return partial(_Own, tmp_path, request.param, list(servers))


class TestTurns(TurnsContract):
    pass


@pytest.fixture
def open_(light_forkserver, leases, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-stand-in")
    opened = []

    def open_(devices):
        opened.append(
            LocalExecutor(
                parse_devices(devices),
                forkserver=light_forkserver,
                leases=leases,
                log_folder=tmp_path / "logs",
            )
        )
        return opened[-1]

    yield open_
    for executor in opened:
        executor.close()


def test_an_idle_executor_keeps_no_core_and_its_worker_stays_warm(open_, leases):
    executor = open_("cpu:1")
    first = run(executor, job("where"))[-1].value
    executor.events(0.0)
    lease = leases.try_acquire(first["slot"])
    assert lease is not None
    executor.submit(job("where", id="again"))
    assert executor.events(0.3) == []
    assert any(leases.folder.glob("ticket-*"))
    lease.release()
    events = []
    while len(events) < 2:
        events += executor.events(0.5)
    assert events[-1].value["pid"] == first["pid"]
    assert not any(leases.folder.glob("ticket-*"))


def test_who_waits_long_is_told_who_has_the_device(light_forkserver, leases, tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "_PATIENCE_S", 0.1)
    notices = []
    executor = LocalExecutor(
        parse_devices("cpu:1"),
        forkserver=light_forkserver,
        leases=leases,
        log_folder=tmp_path / "logs",
        notice=notices.append,
    )
    name = executor.slots[0].name
    executor.events(0.0)  # an idle core is given back
    held = leases.try_acquire(name, "moons")
    executor.submit(job("where"))
    until = time.monotonic() + 10
    while not notices and time.monotonic() < until:
        executor.events(0.1)
    assert notices[0].startswith(f"waiting for a device: {name} is held by moons (process ")
    executor.events(0.5)
    assert len(notices) == 1
    held.release()
    executor.close()


def test_a_gpu_is_kept_while_nobody_waits_and_its_worker_ended_when_somebody_does(open_, leases):
    executor = open_("gpu")
    pid = run(executor, job("where"))[-1].value["pid"]
    executor.events(0.3)
    assert leases.try_acquire("GPU-stand-in") is None
    with leases.queue(["GPU-stand-in"]):
        until = time.monotonic() + SOON_S
        lease = None
        while lease is None and time.monotonic() < until:
            executor.events(0.05)
            lease = leases.try_acquire("GPU-stand-in")
        # The kernel gives the lease away when the worker, and what it had on the GPU, has gone.
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"
    lease.release()
    assert run(executor, job("where", id="again"))[-1].value["pid"] != pid


def test_a_job_that_was_sent_ahead_is_taken_back_for_somebody_who_waits(open_, leases):
    executor = open_("cpu:1")
    executor.submit(job("sleep", 0.5, id="now"))
    executor.submit(job("sleep", 0.1, id="ahead"))
    name = executor.slots[0].name
    events = []
    while not events:
        events += executor.events(0.5)
    with leases.queue([name]):
        until = time.monotonic() + SOON_S
        while (lease := leases.try_acquire(name)) is None and time.monotonic() < until:
            events += executor.events(0.02)
    assert [event.job for event in events] == ["now", "now"]
    lease.release()
    while len(events) < 4:
        events += executor.events(0.5)
    assert events[-1].job == "ahead"


def test_a_line_that_is_empty_costs_microseconds_to_look_at(leases):
    time.sleep(0.06)  # for the folder to have been quiet
    begin = time.process_time()
    for _ in range(1000):
        assert not leases.waited_for(["cpu:0"])
    assert time.process_time() - begin < 0.1
    with leases.queue(["cpu:0"]):
        assert leases.waited_for(["cpu:0"])
        assert not leases.waited_for(["cpu:1"])
    assert not leases.waited_for(["cpu:0"])


@pytest.mark.slow
@pytest.mark.parametrize("open_executor", ["cpu:1"], indirect=True)
def test_nobody_starves_in_100_rounds_of_four(open_executor):
    check_turns(share_one_slot(open_executor, n_executors=4, n_jobs=25))
