"""Memory really taken in real workers; files of `/proc` and of control groups by hand."""

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.executors.contract import job, run
from tests.patience import SOON_S
from tuning.executors.base import Died, Finished, Started
from tuning.executors.devices.slot import Slot
from tuning.executors.devices.slots import parse_devices
from tuning.executors.local import LocalExecutor
from tuning.executors.supervision.memory import (
    available_bytes,
    family_bytes,
    oom_kills,
    total_bytes,
)
from tuning.executors.supervision.memory_guard import MemoryGuard
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
    executor.submit(job("take", 300, id="large"))
    executor.submit(job("sleep", 20, id="small"))
    events = []
    while sum(isinstance(event, Started) for event in events) < 2:
        events += executor.events(0.5)
    (large,) = [psutil.Process(event.pid) for event in events if event.job == "large"]
    while large.memory_info().rss < 300 * MB:
        time.sleep(0.02)
    monkeypatch.setattr(
        "tuning.executors.supervision.memory_guard.available_bytes", lambda *_: 450 * MB
    )
    while not any(isinstance(event, Died) for event in events):
        events += executor.events(0.5)
    died = died_of(events)
    assert (died.job, died.cause) == ("large", "host_oom")
    assert "memory was running out, 0.44 GB were left" in died.detail


def test_a_worker_that_the_kernel_ends_for_memory_is_told_from_one_that_somebody_kills(
    executor, monkeypatch
):
    kills = [0]
    monkeypatch.setattr("tuning.executors.supervision.memory_guard.oom_kills", lambda *_: kills[0])
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


@pytest.fixture
def two_guards(root, leases):
    """The guards of two searches on a box that runs out of memory, each with a trial of 900 MB."""
    for pid in (10, 20):
        add_process(root, pid, 1, 900_000)
    leave(root, 1)
    return [
        MemoryGuard(root=root, take_turn=lambda: leases.try_acquire("memory")) for _ in range(2)
    ]


def leave(root, megabytes):
    """Have so much memory be left."""
    text = f"MemTotal:  8388608 kB\nMemAvailable:  {megabytes * 1024} kB\n"
    (root / "proc/meminfo").write_text(text)


def test_while_one_guard_ends_a_trial_no_other_does_and_then_it_finds_enough(two_guards, root):
    one, other = two_guards
    assert one.look({10: 1}).pid == 10
    assert other.look({20: 1}) is None
    assert one.look({10: 1}) is None
    leave(root, 1024)
    one.ended(10)
    assert other.look({20: 1}) is None


def test_where_the_end_of_one_trial_is_not_enough_the_next_guard_goes_on(two_guards):
    one, other = two_guards
    assert one.look({10: 1}).pid == 10
    one.ended(11)  # another of its workers
    assert other.look({20: 1}) is None
    one.ended(10)
    assert other.look({20: 1}).pid == 20


def test_a_guard_that_is_stopped_holds_the_others_up_for_seconds_only(two_guards, monkeypatch):
    one, other = two_guards
    assert one.look({10: 1}).pid == 10
    assert other.look({20: 1}) is None
    monkeypatch.setattr("tuning.executors.supervision.memory_guard._MOST_WAIT_S", 0.0)
    assert other.look({20: 1}).pid == 20


def test_what_was_read_before_the_turn_came_is_read_again(two_guards, root, leases):
    def take_turn():  # the other's trial is gone between two lines of ours
        leave(root, 1024)
        return leases.try_acquire("memory")

    assert MemoryGuard(root=root, take_turn=take_turn).look({10: 1}) is None
    leases.try_acquire("memory").release()


def test_two_searches_on_a_box_end_one_trial_for_one_shortage(
    light_forkserver, leases, tmp_path, monkeypatch
):
    dead = []
    # As it is for a moment: the process is killed, and its memory is not free yet.
    monkeypatch.setattr(
        "tuning.executors.supervision.memory_guard.available_bytes",
        lambda *_: 450 * MB if started == 2 and not dead else 8192 * MB,
    )
    started = 0
    with ExitStack() as stack:
        executors = [
            stack.enter_context(
                LocalExecutor(
                    [Slot(name)], forkserver=light_forkserver, leases=leases, log_folder=tmp_path
                )
            )
            for name in ("a", "b")
        ]
        for executor in executors:
            executor.submit(job("take", 300))
        until = time.monotonic() + SOON_S
        while time.monotonic() < until:
            for executor in executors:
                events = executor.events(0.02)
                started += sum(isinstance(event, Started) for event in events)
                dead += [event for event in events if isinstance(event, Died)]
            if dead:
                until = min(until, time.monotonic() + 0.7)
    assert [event.cause for event in dead] == ["host_oom"]


def test_without_any_of_these_files_nothing_is_ended(tmp_path):
    guard = MemoryGuard(root=tmp_path)
    assert guard.look({os.getpid(): 1}) is None
    assert not guard.was_out_of_memory()


def test_a_look_costs_little_while_there_is_enough():
    guard = MemoryGuard()
    begin = time.process_time()
    for _ in range(100):
        guard.look({os.getpid(): 1})
    assert (time.process_time() - begin) / 100 < 0.005
    assert Path("/proc/meminfo").exists()
