"""Memory really taken in real workers; files of `/proc` and of control groups by hand."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.executors.contract import job, run
from tuning.executors.base import Died, Finished, Started
from tuning.executors.devices import parse_devices
from tuning.executors.local import LocalExecutor
from tuning.executors.supervision.memory import (
    MemoryGuard,
    available_bytes,
    family_bytes,
    oom_kills,
    total_bytes,
)
from tuning.executors.worker import Limits

MB = 2**20


@pytest.fixture
def executor(light_forkserver, leases, tmp_path):
    with LocalExecutor(
        parse_devices("cpu:2"),
        forkserver=light_forkserver,
        leases=leases,
        log_folder=tmp_path,
        limits=Limits(memory_bytes=150 * MB),
    ) as executor:
        yield executor


@pytest.fixture
def root(tmp_path):
    """A file system of a box of 8 GB with 1 GB left, and a control group below a limited one."""
    files = {
        "proc/meminfo": "MemTotal:  8388608 kB\nMemAvailable:  1048576 kB\n",
        "proc/vmstat": "nr_free 1\noom_kill 3\n",
        "proc/self/cgroup": "0::/job/step\n",
        "sys/fs/cgroup/job/memory.max": f"{1000 * MB}\n",
        "sys/fs/cgroup/job/memory.current": f"{900 * MB}\n",
        "sys/fs/cgroup/job/memory.stat": f"anon 1\ninactive_file {300 * MB}\n",
        "sys/fs/cgroup/job/step/memory.max": "max\n",
        "sys/fs/cgroup/job/step/memory.current": f"{900 * MB}\n",
        "sys/fs/cgroup/job/step/memory.events": "low 0\noom 2\noom_kill 1\n",
    }
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "root"


def add_process(root, pid, parent, kilobytes):
    folder = root / "proc" / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} (a (very) odd name) S {parent} 1 1")
    (folder / "smaps_rollup").write_text(f"Rss: 9999999 kB\nPss:  {kilobytes} kB\nSwapPss: 0 kB\n")


def died_of(events):
    return next(event for event in events if isinstance(event, Died))


def test_a_trial_that_takes_more_than_its_slot_may_is_ended_with_the_figures(executor):
    died = died_of(run(executor, job("take", 400)))
    assert died.cause == "host_oom"
    assert "of the 0.15 GB that it may (--memory-per-slot)" in died.detail
    assert isinstance(run(executor, job("take", 1, id="small"))[-1], Finished)


def test_what_a_trial_has_started_counts(executor):
    assert died_of(run(executor, job("take_in_a_child", 400))).cause == "host_oom"


def test_alone_a_trial_has_the_memory_of_all_slots_and_nothing_beside_it(executor):
    executor.submit(job("sleep", 0.5, id="before"))
    executor.submit(job("take", 200, id="alone", alone=True))
    events = run(executor, job("double", 1, id="after"))
    order = [(type(event), event.job) for event in events]
    assert order == [
        (kind, name) for name in ("before", "alone", "after") for kind in (Started, Finished)
    ]


def test_the_largest_trial_is_ended_before_the_kernel_has_to(executor, monkeypatch):
    executor._memory = MemoryGuard()
    executor.submit(job("take", 120, id="large"))
    executor.submit(job("sleep", 20, id="small"))
    events = []
    while sum(isinstance(event, Started) for event in events) < 2:
        events += executor.events(0.5)
    time.sleep(0.5)  # for the large one to be so
    monkeypatch.setattr("tuning.executors.supervision.memory.available_bytes", lambda *_: 450 * MB)
    while not any(isinstance(event, Died) for event in events):
        events += executor.events(0.5)
    died = died_of(events)
    assert (died.job, died.cause) == ("large", "host_oom")
    assert "memory was running out, 0.44 GB were left" in died.detail


def test_a_worker_that_the_kernel_ends_for_memory_is_told_from_one_that_somebody_kills(
    executor, monkeypatch
):
    kills = [0]
    monkeypatch.setattr("tuning.executors.supervision.memory.oom_kills", lambda *_: kills[0])
    executor._memory = MemoryGuard()
    causes = []
    for number in (0, 1):
        executor.submit(job("sleep", 60, id=f"s{number}"))
        events = []
        while not events:
            events = executor.events(0.5)
        kills[0] = number
        os.kill(events[0].pid, signal.SIGKILL)
        while not isinstance(events[-1], Died):
            events += executor.events(0.5)
        causes.append(events[-1].cause)
    assert causes == ["killed", "host_oom"]


def test_what_is_left_is_the_tightest_of_box_and_groups_without_what_can_be_dropped(root):
    assert available_bytes(root) == 400 * MB
    assert total_bytes(root) == 1000 * MB
    (root / "sys/fs/cgroup/job/memory.max").write_text("max\n")
    assert available_bytes(root) == 1024 * MB


def test_the_first_version_of_control_groups_is_read_too(root):
    (root / "proc/self/cgroup").write_text("4:memory:/old\n1:cpu:/x\n")
    folder = root / "sys/fs/cgroup/memory/old"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(f"{500 * MB}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{450 * MB}\n")
    (folder / "memory.stat").write_text("total_inactive_file 0\n")
    (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n")
    assert available_bytes(root) == 50 * MB
    assert oom_kills(root) == 7


def test_the_kernels_kills_are_those_of_our_group_else_of_the_box(root):
    assert oom_kills(root) == 1
    (root / "sys/fs/cgroup/job/step/memory.events").unlink()
    assert oom_kills(root) == 3


def test_a_family_is_a_process_with_all_its_descendants(root):
    for pid, parent, kilobytes in ((10, 1, 100), (11, 10, 20), (12, 11, 3), (13, 1, 7)):
        add_process(root, pid, parent, kilobytes)
    assert family_bytes([10, 13, 99], root) == {10: 123 * 1024, 13: 7 * 1024, 99: 0}


def test_small_trials_are_let_be_where_another_program_takes_it_all(root):
    add_process(root, 10, 1, 20_000)
    (root / "proc/meminfo").write_text("MemTotal:  8388608 kB\nMemAvailable:  1024 kB\n")
    assert MemoryGuard(root=root).look({10: 1}) is None
    (root / "proc/10/smaps_rollup").write_text("Pss:  900000 kB\n")
    assert MemoryGuard(root=root).look({10: 1}).pid == 10


def test_without_any_of_these_files_nothing_is_ended(tmp_path):
    guard = MemoryGuard(root=tmp_path)
    assert guard.look({os.getpid(): 1}) is None
    assert not guard.was_out_of_memory()


def test_a_look_costs_little_while_there_is_enough():
    guard = MemoryGuard()
    begin = time.perf_counter()
    for _ in range(100):
        guard.look({os.getpid(): 1})
    assert (time.perf_counter() - begin) / 100 < 0.005
    assert Path("/proc/meminfo").exists()
