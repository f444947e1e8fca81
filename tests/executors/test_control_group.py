"""Real control groups where this box lets us make them; their files by hand where it need not."""

import os
import signal
import time

import pytest

from tests.executors.contract import job, run
from tests.executors.test_escapes import executor_on, wait_for
from tuning.executors.base import Reported
from tuning.executors.forkserver import ForkServer
from tuning.executors.supervision.control_group import (
    ControlGroup,
    groups_of,
    own_group,
    remove_left_groups,
)

GONE = 2**22 + 1  # above every process id of Linux


@pytest.fixture
def group():
    group = ControlGroup.make(0)
    if group is None:
        pytest.skip("no control group of our own")
    yield group
    group.remove()


@pytest.fixture
def server(group):
    with ForkServer(["tuning.executors.worker"]) as server:
        server.wait_ready()
        yield server


@pytest.fixture
def root(tmp_path):
    """A file system with a group of version 2, which is an ordinary folder."""
    home = tmp_path / "sys/fs/cgroup/unified/job"
    home.mkdir(parents=True)
    (home / "cgroup.procs").touch()
    (home / "cgroup.controllers").touch()
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/other\n0::/job\n")
    return tmp_path


def hops(folder):
    """Whether the process that forks anew each moment lives."""
    path = folder / "hopped"
    before = path.stat().st_mtime_ns
    time.sleep(0.3)
    return path.stat().st_mtime_ns > before


def test_what_forks_anew_each_moment_ends_with_its_worker(server, leases, tmp_path):
    executor = executor_on(server, leases, tmp_path)
    run(executor, job("hop", str(tmp_path)))
    assert hops(tmp_path)
    executor.close()
    assert not hops(tmp_path)
    assert groups_of(server.pid) == []


@pytest.mark.slow
def test_what_forks_anew_each_moment_ends_with_a_killed_forkserver(server, leases, tmp_path):
    with executor_on(server, leases, tmp_path) as executor:
        executor.submit(job("hop_then_sleep", str(tmp_path)))
        wait_for(executor, Reported)
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        server._process.wait(5.0)  # its warden
        assert not hops(tmp_path)
        assert groups_of(pid) == []


def test_a_process_is_in_its_group_and_the_kernel_ends_all_of_it_at_one_word(group):
    child = os.fork()
    if child == 0:
        group.enter()
        os.fork()
        time.sleep(60)
        os._exit(0)
    members = group.path / "cgroup.procs"
    until = time.monotonic() + 10
    while len(members.read_text().split()) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert str(child) in members.read_text().split()
    group.kill()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    while not group.remove() and time.monotonic() < until:
        time.sleep(0.01)
    assert not group.path.exists()


def test_where_the_kernel_cannot_end_a_group_there_is_none(root, tmp_path):
    assert own_group(root) == tmp_path / "sys/fs/cgroup/unified/job"
    assert ControlGroup.make(1, root) is None
    assert groups_of(os.getpid(), root) == []


def test_without_version_2_there_is_no_group(tmp_path):
    assert ControlGroup.make(1, tmp_path) is None
    assert groups_of(1, tmp_path) == []
    remove_left_groups(tmp_path)


def test_empty_groups_of_dead_processes_are_removed_and_no_others(root):
    home = own_group(root)
    full = home / f"tuning-{GONE}-2"
    for path in (home / f"tuning-{GONE}-1", full, home / f"tuning-{os.getpid()}-1"):
        path.mkdir()
    (full / "of somebody").touch()
    remove_left_groups(root)
    assert {path.name for path in home.glob("tuning-*")} == {full.name, f"tuning-{os.getpid()}-1"}
