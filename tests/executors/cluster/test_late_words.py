"""What the driver makes of slots that are lost; the test plays the link and the slots."""

import os
import pickle
import socket

import pytest

from tuning.executors.base import Died, Finished, Job, Started
from tuning.executors.cluster import ray_executor
from tuning.executors.cluster.actor import SlotSettings
from tuning.executors.cluster.connection import Address
from tuning.executors.cluster.link import LinkSettings
from tuning.executors.cluster.ray_executor import RayExecutor
from tuning.executors.cluster.travel import Carried, Changes, Places, Sender, Sent
from tuning.executors.cluster.wishes import Demand
from tuning.executors.cluster.words import (
    Connected,
    Dropped,
    Give,
    News,
    Recall,
    Release,
    Serving,
    Share,
    SlotGone,
    ToSlot,
)
from tuning.executors.devices.slot import Slot
from tuning.executors.wire import Wire


class Link:
    """The process that holds the connection, as the driver has it; and its other end."""

    def __init__(self):
        ours, theirs = socket.socketpair()
        self.wire, self._peer = Wire(ours), Wire(theirs)
        self.sentinel, self._write = os.pipe()
        self.pid = None
        self.exitcode = None
        self._say(Connected(0.1, started=False, nodes=2))
        self.serve(0)

    def serve(self, number):
        self.tell(number, Serving(Slot(f"ray:node:{number}"), "node", number))

    def tell(self, number, *events):
        self._say(News(number, pickle.dumps(list(events))))

    def lose(self, number):
        self._say(SlotGone(number, "its node is gone"))

    def share(self, n_slots):
        self._say(Share(n_slots))

    def heard(self):
        """Return what the driver has said since."""
        return self._peer.receive()

    def given(self):
        """Return the number of each slot that was given a job since, with the job."""
        given = {}
        for word in self.heard():
            if isinstance(word, ToSlot) and isinstance(word.message, Give):
                given[word.number] = word.message.job
        return given

    def poll(self):
        return None

    def join(self, timeout_s):
        return 0

    def close(self):
        for wire in (self.wire, self._peer):
            wire.close()
        for fd in (self.sentinel, self._write):
            os.close(fd)

    def _say(self, message):
        self._peer.post(message)


@pytest.fixture
def link(monkeypatch):
    link = Link()

    class NoForkServer:
        def __init__(self, preload):
            self.import_s = 0.0

        def spawn(self, target, args, name):
            return link

        def look_after(self):
            pass

        def close(self):
            pass

    monkeypatch.setattr(ray_executor, "ForkServer", NoForkServer)
    return link


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    (folder / "trial").mkdir(parents=True)
    return folder


@pytest.fixture
def executor(link, home, tmp_path):
    settings = LinkSettings(
        address=Address(),
        demand=Demand("cpu", None),
        slot=SlotSettings(kind="cpu"),
        log=tmp_path / "ray.log",
    )
    executor = RayExecutor(settings, until=float("inf"), sender=Sender(home))
    yield executor
    executor.close()


def changes(job, content):
    return Changes(job, "/node/home", (Sent("trial/0.npz", content),))


def test_a_late_file_of_a_lost_attempt_is_dropped(executor, link, home):
    file = home / "trial" / "0.npz"
    job = Job("t", "tests.executors.jobs:double", (home / "trial",))
    executor.submit(job)
    assert link.given() == {0: "t"}
    link.tell(0, Started("t", "slot", 7), changes("t", b"first"))
    assert [type(event) for event in executor.events(5.0)] == [Started]
    assert file.read_bytes() == b"first"

    link.lose(0)
    (died,) = executor.events(5.0)
    assert (died.job, died.cause) == ("t", "lost")
    executor.submit(job)
    link.serve(1)
    executor.events(0.1)
    assert link.given() == {1: "t"}

    # The node was only out of sight, and goes on with the job of the same name.
    carried = Carried(Places().dump("late"))
    late = Finished("t", pickle.dumps(carried))
    link.tell(1, Started("t", "slot", 8), changes("t", b"second"))
    link.tell(0, changes("t", b"of the lost"), late)
    assert [type(event) for event in executor.events(5.0)] == [Started]
    assert executor.events(0.1) == []
    assert file.read_bytes() == b"second"


def test_a_file_of_a_job_that_was_cancelled_is_dropped_too(executor, link, home):
    executor.submit(Job("t", "tests.executors.jobs:double", (home / "trial",)))
    executor.cancel("t")
    assert [type(event) for event in executor.events(5.0)] == [Died]
    link.tell(0, changes("t", b"late"))
    assert executor.events(0.1) == []
    assert list((home / "trial").iterdir()) == []


def test_a_slot_beyond_our_share_goes_when_its_job_has_ended(executor, link):
    link.serve(1)
    executor.events(0.1)
    for name in "abcd":
        executor.submit(Job(name, "tests.executors.jobs:double", (1,)))
    assert link.given() == {0: "c", 1: "d"}  # one runs on each, one waits there
    link.tell(0, Started("a", "slot", 7))
    link.tell(1, Started("b", "slot", 8))
    executor.events(0.2)

    link.share(1)
    executor.events(0.2)
    assert [slot.name for slot in executor.slots] == ["ray:node:0"]
    assert [slot.name for slot in executor.leaving] == ["ray:node:1"]
    assert link.heard() == [ToSlot(1, Recall("d"))]

    link.tell(1, Dropped("d"))
    link.tell(1, Finished("b", pickle.dumps(Carried(Places().dump(2)))))
    (ended,) = executor.events(5.0)
    assert ended == Finished("b", 2)
    assert link.heard() == [Release(1)]
    assert executor.leaving == ()


def test_a_share_that_grows_again_takes_the_slots_that_come(executor, link):
    link.share(1)
    link.serve(1)
    executor.events(0.2)
    assert len(executor.slots) == 1
    assert link.heard() == [Release(1)]
    link.share(None)
    link.serve(2)
    executor.events(0.2)
    assert len(executor.slots) == 2
