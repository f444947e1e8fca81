"""A search on a Ray cluster that loses nodes, and its head: nothing is lost, nothing is doubled."""

import re
import subprocess
import sys
import threading
import time

import psutil
import pytest

from tests.chaos.nothing_lost import nothing_lost
from tests.executors.ray_cluster import SOON, TOKEN, RayCluster
from tests.faults.home import ROOT, own_home
from tests.faults.processes import is_alive

QUICK = ROOT / "tests" / "chaos" / "quick.py"
TRIALS = 40


@pytest.fixture
def home(tmp_path, monkeypatch):
    return own_home(tmp_path, monkeypatch, devices="a,b")


@pytest.fixture
def cluster(home, monkeypatch):
    """A head without a CPU, so that every trial is on a node that may be killed."""
    cluster = RayCluster(cpus=(0, 1, 1))
    monkeypatch.setenv(TOKEN, cluster.token)
    for name, value in SOON.items():
        monkeypatch.setenv(name, value)
    yield cluster
    cluster.close()


def begin(cluster, *words, trials=TRIALS):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tuning", "run", str(QUICK), "--executor", "ray"),
            *("--ray-address", cluster.address, "--devices", "cpu:2"),
            *("--trials", str(trials), *words),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def results(home):
    return list(home.glob("ledger/quick/*/trials/*/result.json"))


def lost_attempts(home):
    """Return how many attempts were begun in vain."""
    begun = len(list(home.glob("ledger/quick/*/trials/*/attempt-*")))
    return begun - len(results(home))


def has_running_trial(home):
    for folder in home.glob("ledger/quick/*/trials/*/attempt-*"):
        if not (folder.parent / "result.json").exists():
            return True
    return False


def wait_for(condition, seconds, process, said=lambda: ""):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, said()
        assert time.monotonic() < end, f"it did not come: {said()}"
        time.sleep(0.05)


def wait_for_progress(home, process, said):
    """Wait until a trial has ended from now on, and another runs."""
    before = len(results(home))
    # A slot imports TensorFlow: seconds where nothing else runs, a minute where much does.
    wait_for(lambda: has_running_trial(home) and len(results(home)) > before, 300, process, said)


def check(home, tmp_path, process, text, trials=TRIALS):
    assert process.returncode == 0, text
    findings = nothing_lost(home, tmp_path / "leases", trials=trials)
    assert not findings, findings


def no_slot_is_left(cluster, seconds=20.0):
    end = time.monotonic() + seconds
    while cluster.actors():
        assert time.monotonic() < end, cluster.actors()
        time.sleep(0.2)
    family = psutil.Process(cluster.pid).children(recursive=True)
    left = [
        p for p in family if is_alive(p) and p.name().startswith(("tuning-worker", "ray::Slot"))
    ]
    assert left == []


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_ten_nodes_are_killed_in_mid_trial_and_nothing_is_lost(home, cluster, tmp_path):
    # 1.2 s a trial; a new slot takes ten times as long.
    process = begin(cluster, "--epochs", "30", trials=120)
    output = []
    reader = threading.Thread(target=lambda: output.extend(process.stdout), daemon=True)
    reader.start()

    def said():
        return "".join(output)

    nodes = [1, 2]
    for _ in range(12):  # one or two may hit it between two trials
        wait_for_progress(home, process, said)
        wait_for(lambda: any(map(cluster.has_worker, nodes)), 300, process, said)
        victim = next(filter(cluster.has_worker, nodes))
        nodes.append(cluster.add(num_cpus=1))
        cluster.kill(victim)
        nodes.remove(victim)
    process.wait(400)
    reader.join(10)
    process.stdout.close()
    check(home, tmp_path, process, said(), trials=120)
    assert lost_attempts(home) >= 10
    no_slot_is_left(cluster)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_lost_head_ends_the_search_with_75_and_the_same_command_goes_on(
    home, tmp_path, monkeypatch
):
    first = RayCluster(cpus=(2,))
    monkeypatch.setenv(TOKEN, first.token)
    for name, value in SOON.items():
        monkeypatch.setenv(name, value)
    try:
        process = begin(first)
        wait_for(lambda: len(results(home)) >= 5, 120, process)
        first.kill(0)
        text, _ = process.communicate(timeout=120)
        assert process.returncode == 75, text
        assert "the same command goes on" in text
        assert 5 <= len(results(home)) < TRIALS
    finally:
        first.close()

    second = RayCluster(cpus=(2,))
    monkeypatch.setenv(TOKEN, second.token)
    try:
        process = begin(second)
        text, _ = process.communicate(timeout=300)
        check(home, tmp_path, process, text)
        no_slot_is_left(second)
    finally:
        second.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_driver_leaves_no_slot_and_the_same_command_goes_on(home, cluster, tmp_path):
    process = begin(cluster)
    wait_for(lambda: len(results(home)) >= 5, 120, process)
    process.kill()
    process.communicate()
    no_slot_is_left(cluster)
    process = begin(cluster)
    text, _ = process.communicate(timeout=200)
    check(home, tmp_path, process, text)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_ray_of_our_own_ends_with_its_search(home, tmp_path):
    command = [sys.executable, "-m", "tuning", "run", str(QUICK), "--executor", "ray"]
    command += ["--devices", "cpu:2", "--trials", str(TRIALS)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(lambda: len(results(home)) >= 5, 120, process)
    family = psutil.Process(process.pid).children(recursive=True)
    assert any(p.name() == "raylet" for p in family)
    text, _ = process.communicate(timeout=200)
    assert re.search(r"a Ray of our own has started in \d+\.\d s", text)
    check(home, tmp_path, process, text)
    end = time.monotonic() + 10.0
    while any(is_alive(p) for p in family):
        assert time.monotonic() < end, [p for p in family if is_alive(p)]
        time.sleep(0.1)
