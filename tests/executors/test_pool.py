"""`Pool`: whoever submits a job is told how it ended, also where no device has come free yet."""

from __future__ import annotations

import queue
import time

import pytest

from tuning.executors.base import Died, Finished, Job
from tuning.executors.devices.leases import Leases, release
from tuning.executors.forkserver import ForkServer
from tuning.executors.pool import Pool

SLEEP = "tests.executors.jobs:sleep"


@pytest.fixture
def held(tmp_path, monkeypatch):
    """The only device, held by somebody else until this is called."""
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    monkeypatch.setenv("TUNING_DEVICES", "a")
    lease = Leases().acquire_all(["a"], "another")
    assert lease is not None
    holding = [lease]

    def let_go():
        while holding:
            release(holding.pop())

    yield let_go
    let_go()


@pytest.fixture
def pool():
    with ForkServer(["tuning.executors.worker"]) as server:
        pool = Pool("auto", server)
        yield pool
        pool.close()


def next_end(ends: queue.SimpleQueue):
    return ends.get(timeout=20)


def test_a_job_that_is_cancelled_while_a_device_is_waited_for_does_not_run(pool, held):
    ends: queue.SimpleQueue = queue.SimpleQueue()
    for name, seconds in (("long", 60), ("short", 0)):
        pool.submit(Job(name, SLEEP, (seconds,)), ends.put)
    time.sleep(0.3)  # it waits
    pool.cancel("long")
    held()
    first = next_end(ends)
    second = next_end(ends)
    assert {first.job: type(first), second.job: type(second)} == {"long": Died, "short": Finished}


def test_a_job_whose_device_is_not_there_ends_in_words(pool, monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "a")
    lost = Pool("7", pool._forkserver)
    ends: queue.SimpleQueue = queue.SimpleQueue()
    lost.submit(Job("lost", SLEEP, (0,)), ends.put)
    try:
        assert "7" in next_end(ends).detail
    finally:
        lost.close()


def test_a_pool_that_is_closed_tells_those_whose_jobs_have_not_begun(pool, held):
    ends: queue.SimpleQueue = queue.SimpleQueue()
    for name in ("first", "second"):
        pool.submit(Job(name, SLEEP, (0,)), ends.put)
    # As `close` says it, which would wait for the thread that waits for the device.
    pool._closing = True
    pool._inbox.put(None)
    held()
    assert {next_end(ends).job, next_end(ends).job} == {"first", "second"}
