"""One forkserver for the slots of a node: who ends with whom."""

import fcntl
import os
import subprocess
import sys
import time

import psutil
import pytest

from tests.faults.home import ROOT
from tests.faults.processes import is_alive
from tuning.errors import MissingError
from tuning.executors.cluster.shared_forkserver import SharedForkServer
from tuning.executors.supervision.parts import NODE

LIGHT = ("tuning.executors.worker",)
HOLD = "tests.executors.jobs:hold"

SLOT = """
import sys
from pathlib import Path
from tuning.executors.cluster.shared_forkserver import SharedForkServer
server = SharedForkServer(Path(sys.argv[1]), ("tuning.executors.worker",))
child = server.spawn("tests.executors.jobs:block_in_c", (600,))
server.wait_ready()
while child.pid is None:
    child.poll()
print(child.pid, server.server_pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    """What the slots of a node share."""
    path = tmp_path / "node"
    path.mkdir()
    return path


@pytest.fixture
def kept(folder):
    """The lock that each slot has on the folder: nobody removes it."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    yield
    os.close(descriptor)


@pytest.fixture
def open_(folder):
    opened = []

    def open_(preload=LIGHT):
        opened.append(SharedForkServer(folder, preload))
        opened[-1].start()
        return opened[-1]

    yield open_
    for server in opened:
        server.close()


@pytest.fixture
def held(open_):
    """Make children that do nothing."""
    children = []

    def held(server):
        child = server.spawn(HOLD, (600,))
        children.append(child)
        wait_for(lambda: child.poll() is not None or child.pid is not None)
        server.wait_ready()
        return child

    yield held
    for child in children:
        child.close()


def node_of(server):
    """Return the process that all slots share."""
    return psutil.Process(server.server_pid).parent().parent()


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_slots_of_a_node_share_a_server_and_end_their_own_children_alone(open_, held, folder):
    one, two = open_(), open_()
    first, second = held(one), held(two)
    node = node_of(one)
    assert node.name() == NODE.name
    assert (one.server_pid, one.import_s) == (two.server_pid, two.import_s)
    family = node.children(recursive=True)

    one.close()
    assert first.join(20.0) is not None
    assert second.poll() is None
    two.close()
    wait_for(lambda: not any(map(is_alive, [node, *family])))
    wait_for(lambda: not folder.exists())


def test_a_slot_that_comes_later_finds_the_server_that_is_there(open_):
    one = open_()
    one.wait_ready()
    two = open_()
    two.wait_ready()
    assert one.server_pid == two.server_pid


def test_a_slot_that_is_killed_takes_its_worker_along_whatever_that_does(open_, held, folder):
    other = open_()
    child = held(other)
    slot = subprocess.Popen(
        [sys.executable, "-c", SLOT, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    pid, server_pid = map(int, slot.stdout.readline().split())
    assert server_pid == other.server_pid
    worker = psutil.Process(pid)
    slot.kill()
    slot.wait()
    slot.stdin.close()
    slot.stdout.close()
    wait_for(lambda: not is_alive(worker))
    assert child.poll() is None


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("which", ["server", "node"])
def test_after_a_death_every_slot_goes_on_with_one_new_server(open_, held, which):
    one, two = open_(), open_()
    children = [held(one), held(two)]
    node = node_of(one)
    before = one.server_pid
    (node if which == "node" else psutil.Process(before)).kill()
    assert all(child.join(20.0) is not None and child.server_gone for child in children)
    held(one)
    held(two)
    assert one.server_pid == two.server_pid != before


@pytest.mark.usefixtures("kept")
def test_what_cannot_be_imported_is_told_to_every_slot(open_):
    slots = [open_(("tests.no_such_module",)), open_(("tests.no_such_module",))]
    for slot in slots:
        with pytest.raises(MissingError, match=r"cannot import what trials need: ModuleNotFound"):
            slot.wait_ready()
