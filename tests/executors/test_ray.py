"""The contract on a Ray cluster of three nodes on loopback, and what is Ray's alone."""

import os
import signal
import threading
import time

import psutil
import pytest

from tests.executors.contract import ExecutorContract, ResizeContract, ends, job, run
from tests.executors.ray_cluster import SOON, TOKEN, RayCluster
from tests.faults.processes import is_alive
from tuning.errors import BusyError, LostError, StudyError
from tuning.executors.base import Died, Finished, Job, Started
from tuning.executors.cluster.actor import SlotSettings
from tuning.executors.cluster.connection import Address
from tuning.executors.cluster.link import LinkSettings
from tuning.executors.cluster.opening import settling_for
from tuning.executors.cluster.ray_executor import RayExecutor
from tuning.executors.cluster.runtime import runtime_of
from tuning.executors.cluster.travel import Sender
from tuning.executors.cluster.wishes import demand_of, parse_cluster_devices
from tuning.executors.devices.leases import Leases
from tuning.executors.supervision.parts import LINK
from tuning.storage.interpreter import import_path
from tuning.trial import Answer

LIGHT = ("tuning.executors.worker",)


@pytest.fixture(scope="module")
def cluster():
    """Three nodes with four CPUs; this process has its token and its patience."""
    with pytest.MonkeyPatch.context() as patch:
        cluster = RayCluster()
        patch.setenv(TOKEN, cluster.token)
        for name, value in SOON.items():
            patch.setenv(name, value)
        yield cluster
        cluster.close()


@pytest.fixture(scope="module")
def lasting(cluster, tmp_path_factory):
    """One executor for the tests that leave it as it was: its slots take 2 s.

    It leaves one CPU of the four to others.
    """
    executor = open_executor(cluster, tmp_path_factory.mktemp("logs"))
    yield executor
    executor.close()


@pytest.fixture
def shared(lasting):
    """The lasting one; what a test has left to it ends before the next."""
    yield lasting
    end = time.monotonic() + 20.0
    while lasting.room < 2 * max(1, len(lasting.slots)):
        assert time.monotonic() < end
        lasting.events(0.2)


@pytest.fixture
def open_(cluster, tmp_path):
    """Open executors that are closed after the test."""
    opened = []

    def open_(devices="cpu:3", **options):
        opened.append(open_executor(cluster, tmp_path, devices, **options))
        return opened[-1]

    yield open_
    for executor in opened:
        executor.close()


def open_executor(
    cluster,
    folder,
    devices="cpu:3",
    *,
    notice=None,
    until=float("inf"),
    home=None,
    runtime=None,
    **slot,
):
    settings = {"kind": "cpu", "preload": LIGHT, "import_path": tuple(import_path()), **slot}
    return RayExecutor(
        LinkSettings(
            address=Address(text=cluster.address),
            demand=demand_of(parse_cluster_devices(devices)),
            slot=SlotSettings(**settings),
            log=folder / "ray.log",
            runtime=runtime,
        ),
        notice=notice,
        until=until,
        sender=Sender(home),
    )


def until(executor, kind, seconds=20.0):
    """Return the events up to the first of a kind."""
    events = []
    end = time.monotonic() + seconds
    while not any(isinstance(event, kind) for event in events):
        assert time.monotonic() < end, events
        events += executor.events(0.5)
    return next(event for event in events if isinstance(event, kind))


def has_slots(executor, count, seconds=30.0):
    end = time.monotonic() + seconds
    while len(executor.slots) != count:
        assert time.monotonic() < end, executor.slots
        executor.events(0.2)


def actor_of(slot):
    """Return the process of a slot on a CPU; it is in its name."""
    return psutil.Process(int(slot.rpartition(":")[2]))


def is_gone(processes, seconds=15.0):
    """Whether all of these end within so long; who reaps them is not our matter."""
    end = time.monotonic() + seconds
    while any(is_alive(each) for each in processes):
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True


class TestRayExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self, shared):
        return shared


@pytest.mark.slow
class TestResizedRayExecutor(ResizeContract):
    @pytest.fixture
    def slots(self):
        return parse_cluster_devices("cpu:3")[1:]

    @pytest.fixture
    def executor(self, shared):
        has_slots(shared, 3)
        yield shared
        shared.resize(parse_cluster_devices("cpu:3"))


def test_a_killed_worker_is_replaced_at_its_slot(shared):
    shared.submit(job("sleep", 60, id="victim"))
    victim = until(shared, Started)
    os.kill(victim.pid, signal.SIGKILL)
    died = until(shared, Died)
    assert (died.job, died.cause) == ("victim", "killed")
    assert actor_of(victim.slot).is_running()
    ended = ends(run(shared, *(job("where", id=f"w{n}") for n in range(6))))
    assert {end.value["visible"] for end in ended.values()} == {"-1"}


def test_a_job_that_hangs_is_stopped_and_the_actor_stays(shared):
    begin = time.monotonic()
    shared.submit(job("sleep", 60, timeout_s=0.3))
    slot = until(shared, Started).slot
    died = until(shared, Died)
    assert (died.cause, died.detail) == ("timeout", "stopped after 0.3 s, the trial's limit")
    assert time.monotonic() - begin < 5
    assert actor_of(slot).is_running()


def test_stop_reaches_a_job_that_does_not_wait_for_answers(shared):
    shared.submit(job("train_slowly", 1000))
    until(shared, Started)
    shared.answer("train_slowly", Answer.STOP)
    assert until(shared, Finished).value[-1] == Answer.STOP


def test_a_job_fed_ahead_moves_to_a_slot_that_idles(shared):
    has_slots(shared, 3)
    for number in range(2):
        shared.submit(job("sleep", 60, id=f"long{number}"))
    shared.submit(job("sleep", 0.3, id="short"))
    for number in range(3):  # one goes ahead to each slot
        shared.submit(job("double", number, id=f"d{number}"))
    ended = {}
    while not {"short", "d0", "d1", "d2"} <= set(ended):
        ended |= ends(shared.events(5.0))
    assert not ended.keys() & {"long0", "long1"}
    for number in range(2):
        shared.cancel(f"long{number}")
        assert until(shared, Died).cause == "cancelled"


def test_a_result_that_cannot_be_loaded_raises(shared):
    assert "pickle" in run(shared, job("unpicklable"))[-1].error


def test_a_lost_actor_loses_its_running_job_alone_and_another_comes(shared):
    has_slots(shared, 3)
    shared.submit(job("sleep", 60, id="victim"))
    slot = until(shared, Started).slot
    for number in range(5):  # one of them waits behind it
        shared.submit(job("sleep", 0.1, id=f"s{number}"))
    actor = actor_of(slot)
    family = [actor, *actor.children(recursive=True)]
    actor.kill()
    ended = {}
    while len(ended) < 6:
        ended |= ends(shared.events(5.0))
    assert ended.pop("victim").cause == "lost"
    assert all(isinstance(end, Finished) for end in ended.values())
    assert is_gone(family)
    has_slots(shared, 3)
    assert slot not in [each.name for each in shared.slots]


def test_the_death_of_the_link_ends_all_and_says_that_the_command_goes_on(cluster, open_):
    executor = open_("cpu:1")
    executor.submit(job("double", 2))
    assert until(executor, Finished).value == 4
    executor.submit(job("sleep", 60))
    until(executor, Started)
    actor = actor_of(executor.slots[0].name)
    family = [actor, *actor.children(recursive=True)]
    link = psutil.Process(executor._link.pid)
    assert link.name() == LINK.name
    link.kill()
    with pytest.raises(LostError, match=r"(?s)head is gone.*SIGKILL.*the same command goes on"):
        until(executor, Died)
    assert LostError.exit_code == 75
    assert is_gone(family)


def test_close_ends_the_slots_and_their_workers(open_):
    executor = open_("cpu:1")
    executor.submit(job("ignore_term", 60))
    worker = psutil.Process(until(executor, Started).pid)
    actor = actor_of(executor.slots[0].name)
    executor.close()
    assert is_gone([worker, actor])


def test_without_room_a_slot_is_waited_for_until_the_deadline(shared, open_):
    has_slots(shared, 3)
    open_("cpu:1")
    with pytest.raises(BusyError, match="Ray has given no slot"):
        open_("cpu:1", until=time.monotonic() + 1.5)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "the cluster wants a token, and none is there"),
        ("b" * 32, "the cluster refuses the token that is there"),
    ],
)
def test_without_its_token_the_cluster_is_closed(open_, monkeypatch, tmp_path, token, words):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(TOKEN, token)
    with pytest.raises(StudyError, match=f"--ray-address .*: {words}"):
        open_("cpu:1", until=time.monotonic() + 30.0)


def test_an_address_where_nobody_listens_is_told_at_once(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "address", "127.0.0.1:1")
    with pytest.raises(BusyError, match=r"--ray-address 127.0.0.1:1: no Ray answers there"):
        open_executor(cluster, tmp_path, "cpu:1", until=time.monotonic() + 20.0)


@pytest.mark.slow
def test_nodes_that_come_take_work_and_nodes_that_leave_give_it_back(cluster, shared, open_):
    has_slots(shared, 3)
    executor = open_("auto")
    has_slots(executor, 1)
    node = cluster.add(num_cpus=2)
    has_slots(executor, 3)
    for number in range(3):
        executor.submit(job("sleep", 60, id=f"s{number}"))
    running = set()
    while len(running) < 3:
        running |= {e.job for e in executor.events(1.0) if isinstance(e, Started)}
    cluster.kill(node)
    lost = set()
    while len(lost) < 2:
        lost |= {e.job for e in executor.events(1.0) if isinstance(e, Died) and e.cause == "lost"}
    has_slots(executor, 1)
    for number in range(3):
        executor.cancel(f"s{number}")


def test_code_comes_to_a_node_that_has_none_of_it(shared, open_, tmp_path):
    """The module is nowhere on the node's path; it is in the archive alone."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "study.py").write_text("import carried\n")
    (project / "carried.py").write_text("def answer(context):\n    return __file__\n")
    runtime = runtime_of([str(project / "study.py")], project=project)
    executor = open_("cpu:1", runtime=runtime, settling=settling_for(runtime))
    executor.submit(Job("j", "carried:answer"))
    file = until(executor, Finished).value
    assert file.endswith("/code/project/carried.py")
    assert "/tuning-node-" in file


@pytest.mark.slow
def test_a_node_lost_in_mid_checkpoint_costs_what_came_after_the_last(
    cluster, shared, open_, tmp_path
):
    has_slots(shared, 3)
    home = tmp_path / "home"
    executor = open_("auto", home=home)
    node = cluster.add(num_cpus=1)
    has_slots(executor, 2)
    files = {}
    for name in ("one", "two"):
        folder = home / name
        folder.mkdir(parents=True)
        files[name] = folder / "0.npz"
        executor.submit(job("count_on", folder, 600.0, id=name))
    while not all(file.exists() and file.read_bytes()[:8] > bytes(8) for file in files.values()):
        executor.events(0.2)
    # Several megabytes, 50 times a second: they are on their way at this moment.
    cluster.kill(node)
    died = until(executor, Died)
    assert died.cause == "lost"
    (other,) = files.keys() - {died.job}
    executor.cancel(other)

    data = files[died.job].read_bytes()
    assert data == data[:8] * 500_000
    again = job("count_on", home / died.job, 0.1, id="again")
    first, last = ends(run(executor, again))["again"].value
    assert first == int.from_bytes(data[:8], "big") < last


@pytest.mark.slow
def test_a_search_that_comes_waits_in_words_and_gets_its_share(cluster, shared, open_):
    has_slots(shared, 3)
    node = cluster.add(num_cpus=3)
    first = open_("auto", label="first")
    has_slots(first, 4)
    done = threading.Event()
    pump = threading.Thread(target=lambda: [first.events(0.2) for _ in iter(done.is_set, True)])
    pump.start()
    try:
        said = []
        second = open_("auto", label="second", notice=said.append)
        has_slots(second, 2, seconds=60.0)
        end = time.monotonic() + 5.0  # nobody takes or gives up more than its part
        while time.monotonic() < end:
            second.events(0.2)
        assert (len(first.slots), len(second.slots)) == (2, 2)
        (waits,) = [text for text in said if "waiting" in text]
        assert "it takes 1 CPU, and of the cluster's 7 0 are free" in waits
        assert "first of" in waits
        second.close()
    finally:
        done.set()
        pump.join()
    has_slots(first, 4, seconds=60.0)
    first.close()
    cluster.kill(node)


@pytest.mark.slow
def test_each_gpu_of_a_node_is_a_slot_and_leased_there(cluster, open_):
    node = cluster.add(num_cpus=0, num_gpus=2)
    executor = open_("gpu:2")
    has_slots(executor, 2)
    assert sorted(slot.name for slot in executor.slots) == ["GPU-a", "GPU-b"]
    assert {slot.kind for slot in executor.slots} == {"gpu"}
    executor.submit(job("sleep", 60, id="long"))
    until(executor, Started)
    other = run(executor, job("where"))[-1].value
    assert other["visible"] == other["slot"]
    leases = Leases()
    assert [leases.try_acquire(name) for name in ("GPU-a", "GPU-b")] == [None, None]
    executor.close()
    for name in ("GPU-a", "GPU-b"):
        leases.try_acquire(name).release()
    leases.close()
    cluster.kill(node)
