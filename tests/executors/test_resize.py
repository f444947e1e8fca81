"""Slots of real workers come and go at random, and workers are killed; jobs say who was where."""

import os
import random
import signal
import time

import pytest

from tests.executors.contract import ENDS, job
from tuning.executors.base import Died, Finished, Started
from tuning.executors.devices.slots import parse_devices
from tuning.executors.local import LocalExecutor

DEVICES = 8
JOBS = 16


@pytest.fixture
def executor(light_forkserver, leases, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", ",".join(f"GPU-{n}" for n in range(DEVICES)))
    executor = LocalExecutor(
        parse_devices("auto"),
        forkserver=light_forkserver,
        leases=leases,
        log_folder=tmp_path / "logs",
    )
    yield executor
    executor.close()


class Driver:
    """Submits each job until it has finished, as a search does, and disturbs the executor."""

    def __init__(self, executor, folder, seed, epochs):
        self.executor = executor
        self.folder = folder
        self.epochs = epochs
        self.chance = random.Random(seed)
        self.slots = parse_devices("auto")
        self.attempts = dict.fromkeys(range(JOBS), 0)
        self.finished = {}
        self.causes = []
        self.pids = {}

    def submit(self, number):
        self.attempts[number] += 1
        id = f"{number}-{self.attempts[number]}"
        self.executor.submit(job("train_on_a_device", self.folder, self.epochs, id=id))

    def listen(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until and len(self.finished) < JOBS:
            for event in self.executor.events(0.05):
                number = int(event.job.partition("-")[0])
                if isinstance(event, Started):
                    self.pids[event.job] = event.pid
                elif isinstance(event, ENDS):
                    self.pids.pop(event.job, None)
                    self.end(number, event)

    def end(self, number, event):
        if isinstance(event, Finished):
            assert number not in self.finished
            self.finished[number] = event.value
        else:
            assert isinstance(event, Died)
            self.causes.append(event.cause)
            self.submit(number)

    def disturb(self):
        if self.pids and self.chance.random() < 0.4:
            victim = self.chance.choice(sorted(self.pids))
            os.kill(self.pids.pop(victim), signal.SIGKILL)
        else:
            count = self.chance.randint(0, DEVICES)
            self.executor.resize(self.chance.sample(self.slots, count))


def run_rounds(executor, folder, rounds, *, seed, epochs):
    """Disturb so often while there are jobs, then let all end; return the driver."""
    driver = Driver(executor, folder, seed, epochs)
    for number in range(JOBS):
        driver.submit(number)
    driver.listen(0.3)
    for _ in range(rounds):
        assert len(driver.finished) < JOBS
        driver.disturb()
        driver.listen(driver.chance.uniform(0.02, 0.2))
    executor.resize(driver.slots)
    driver.listen(120.0)
    return driver


def check(driver, folder):
    assert driver.finished == dict.fromkeys(range(JOBS), driver.epochs)
    assert not (folder / "collisions").exists()
    for number in range(JOBS):
        trained = (folder / f"epochs-{number}").read_text().split()
        assert trained == [str(epoch) for epoch in range(1, driver.epochs + 1)]
    assert set(driver.causes) <= {"moved", "killed"}


def test_three_rounds_never_put_two_on_one_device_and_lose_no_job(executor, tmp_path):
    driver = run_rounds(executor, tmp_path, 3, seed=4, epochs=12)
    check(driver, tmp_path)
    assert "moved" in driver.causes


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_rounds_do_neither(executor, tmp_path, seed):
    driver = run_rounds(executor, tmp_path, 100, seed=seed, epochs=400)
    check(driver, tmp_path)
