"""Real processes and real kills, without TensorFlow."""

import contextlib
import os
import pickle
import random
import signal
import time
from types import SimpleNamespace

import psutil
import pytest

from tests.executors.contract import (
    ENDS,
    ExecutorContract,
    ResizeContract,
    ends,
    epochs,
    job,
    run,
)
from tests.executors.jobs import Unloadable
from tests.patience import SOON_S
from tuning.errors import BusyError, MissingError, TuningError
from tuning.executors import local, local_worker
from tuning.executors.base import Died, Finished, Reported, Started
from tuning.executors.devices.slot import Slot
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import LocalExecutor
from tuning.executors.worker import Limits
from tuning.trial import Answer


@pytest.fixture
def open_(light_forkserver, leases, tmp_path):
    """Open executors on this test's own leases."""
    opened = []

    def open_(devices="cpu:2", **options):
        opened.append(
            LocalExecutor(
                parse_devices(devices),
                forkserver=light_forkserver,
                leases=leases,
                log_folder=tmp_path / "logs",
                **options,
            )
        )
        return opened[-1]

    yield open_
    for executor in opened:
        executor.close()


@pytest.fixture
def executor(open_):
    return open_()


@pytest.fixture
def wait(monkeypatch):
    """Let time pass for what counts a job's limits, and for nothing else: no load makes it late."""
    passed_s = []

    def monotonic():
        return time.monotonic() + sum(passed_s)

    monkeypatch.setattr(local_worker, "time", SimpleNamespace(monotonic=monotonic))
    monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=monotonic))
    return passed_s.append


def until(executor, kind, seconds=SOON_S):
    """Return the events up to the first of a kind."""
    events = []
    end = time.monotonic() + seconds
    while not any(isinstance(event, kind) for event in events):
        assert time.monotonic() < end, events
        events += executor.events(0.5)
    return events


def started(events):
    return next(event for event in events if isinstance(event, Started))


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self, open_):
        return open_()


class TestResizedLocalExecutor(ResizeContract):
    @pytest.fixture
    def slots(self):
        return parse_devices("cpu:2")

    @pytest.fixture
    def executor(self, open_):
        return open_("cpu:2")


def test_a_slot_that_was_given_up_is_another_searchs_at_once(open_):
    executor = open_("cpu:2")
    run(executor, job("double", 1))
    executor.submit(job("train_until_stopped", 1000))
    until(executor, Reported)
    gone_at = time.monotonic()
    executor.resize([])
    until(executor, Died)
    other = open_("cpu:2")
    assert time.monotonic() - gone_at < SOON_S
    assert len(other.slots) == 2


def test_a_job_that_never_reports_is_ended_and_tried_elsewhere(open_, monkeypatch):
    monkeypatch.setattr(local_worker, "LEAVE_S", 0.2)
    executor = open_("cpu:2")
    executor.submit(job("sleep", 60))
    begun = started(until(executor, Started))
    executor.resize([slot for slot in executor.slots if slot.name != begun.slot])
    died = next(event for event in until(executor, Died) if isinstance(event, Died))
    assert died.cause == "moved"
    assert "0.2 s" in died.detail
    assert ends(run(executor, job("where")))["where"].value["slot"] != begun.slot


@pytest.mark.parametrize("leaves", ["epoch", "end"])
def test_a_job_that_is_not_to_leave_soon_keeps_its_slot_for_longer(open_, monkeypatch, leaves):
    monkeypatch.setattr(local_worker, "LEAVE_S", 0.0)
    executor = open_("cpu:1")
    executor.submit(job("train_until_stopped", 25, leaves=leaves))
    until(executor, Started)
    executor.resize([])
    executor.events(0.0)  # beyond LEAVE_S: one that leaves soon would be ended here
    assert executor.leaving
    events = until(executor, ENDS)
    if leaves == "end":
        assert len(epochs(events)) == 25
        assert isinstance(events[-1], Finished)
    else:
        assert events[-1] == Died("train_until_stopped", "moved", "its slot was given up")
    executor.events(0.1)
    assert not executor.leaving


def test_a_slot_that_comes_back_while_it_is_given_up_is_taken_again(open_):
    executor = open_("cpu:1")
    slots = executor.slots
    executor.submit(job("train_until_stopped", 1000))
    until(executor, Reported)
    executor.resize([])
    executor.resize(slots)
    until(executor, Died)
    assert ends(run(executor, job("double", 2)))["double"].value == 4
    assert executor.slots == slots


def test_a_cpu_worker_is_bound_to_its_core_and_sees_no_gpu(open_):
    executor = open_("cpu:1")
    place = run(executor, job("where"))[-1].value
    assert place["visible"] == "-1"
    assert place["slot"] == f"cpu:{min(place['cores'])}"
    assert len(place["cores"]) == 1


def test_four_devices_run_four_jobs_at_once_each_with_its_own(open_, monkeypatch, tmp_path):
    monkeypatch.setenv("TUNING_DEVICES", "a,b,c,d")
    (tmp_path / "met").mkdir()
    executor = open_("auto")
    ended = ends(
        run(executor, *(job("meet", str(tmp_path / "met"), 4, id=f"m{n}") for n in range(4)))
    )
    assert {end.value["visible"] for end in ended.values()} == {"a", "b", "c", "d"}


def test_a_killed_worker_is_seen_and_replaced_at_once_and_others_go_on(open_):
    executor = open_("cpu:2")
    executor.submit(job("sleep", 60, id="victim"))
    victim = started(until(executor, Started))
    executor.submit(job("sleep", 1.5, id="other"))
    until(executor, Started)
    killed_at = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    died = next(event for event in until(executor, Died) if isinstance(event, Died))
    assert (died.job, died.cause) == ("victim", "killed")
    assert "out of memory" in died.detail
    events = run(executor, job("where"))
    assert time.monotonic() - killed_at < SOON_S  # silent it may be for longer
    ended = ends(events)
    assert ended["where"].value["slot"] == victim.slot
    if "other" not in ended:
        ended |= ends(until(executor, Finished))
    assert ended["other"].value == "slept"


def test_no_job_is_lost_or_ends_twice_under_kills_at_random_moments(open_):
    executor = open_("cpu:3")
    chance = random.Random(7)
    open_jobs = {f"j{n}" for n in range(60)}
    kinds = []
    kills = 0
    for name in sorted(open_jobs):
        executor.submit(job("train_slowly", 3, id=name))
    end = time.monotonic() + 40
    while open_jobs:
        assert time.monotonic() < end
        for event in executor.events(chance.uniform(0, 0.05)):
            if isinstance(event, ENDS):
                open_jobs.remove(event.job)  # a second end is a KeyError
                kinds.append(type(event))
        pids = [worker.child.pid for worker in executor._workers if worker.child.pid]
        if kills < 25 and pids and chance.random() < 0.5:
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.kill(chance.choice(pids), signal.SIGKILL)
                kills += 1
    assert kinds.count(Finished) >= 20
    assert Died in kinds


def test_a_result_sent_just_before_death_is_not_lost(open_):
    executor = open_("cpu:1")
    executor.submit(job("finish_and_die"))
    executor.submit(job("double", 3))
    events = until(executor, Started)  # on a busy machine the end may be among them already
    time.sleep(0.6)  # both ends of the story are in the wire and the sentinel by now
    ended = ends([*events, *run(executor, job("double", 4, id="next"))])
    assert ended["finish_and_die"].value == "done"
    assert ended["next"].value == 8


def test_an_executor_survives_the_death_of_its_forkserver(leases, tmp_path):
    with (
        ForkServer(["tuning.executors.worker"]) as server,
        LocalExecutor(
            parse_devices("cpu:2"), forkserver=server, leases=leases, log_folder=tmp_path / "logs"
        ) as executor,
    ):
        executor.submit(job("sleep", 60))
        until(executor, Started)
        server._process.kill()
        assert until(executor, Died)[-1].cause == "lost"
        assert run(executor, job("double", 2))[-1].value == 4


def test_workers_that_cannot_begin_end_the_run_with_their_reason(
    light_forkserver, leases, tmp_path
):
    slot = Slot("cpu:0", cores=(100_000,))  # the kernel refuses to bind it there
    with (
        LocalExecutor(
            [slot], forkserver=light_forkserver, leases=leases, log_folder=tmp_path / "logs"
        ) as executor,
        pytest.raises(
            TuningError, match=r"workers on cpu:0 end before they begin(.|\n)*Invalid argument"
        ),
    ):
        run(executor, job("double", 1))


def test_a_failed_preload_is_raised_and_frees_the_devices(leases, tmp_path):
    with ForkServer(["tuning.no_such_module"]) as server:
        executor = LocalExecutor(
            parse_devices("cpu:1"), forkserver=server, leases=leases, log_folder=tmp_path / "logs"
        )
        name = executor.slots[0].name
        with pytest.raises(MissingError, match="no_such_module"):
            executor.events(10.0)
        executor.close()
        leases.try_acquire(name).release()


def test_a_crash_is_told_with_its_signal_and_last_lines(executor):
    died = run(executor, job("abort"))[-1]
    assert died.cause == "crashed"
    assert "SIGABRT" in died.detail
    assert "the last thing it said" in died.detail


@pytest.mark.parametrize("name", ["sleep", "ignore_term", "sleep_in_c_with_the_gil"])
def test_a_job_that_hangs_is_stopped_at_its_limit(executor, name):
    begin = time.monotonic()
    died = run(executor, job(name, 60, timeout_s=0.3))[-1]
    assert (died.cause, died.detail) == ("timeout", "stopped after 0.3 s, the trial's limit")
    assert time.monotonic() - begin < SOON_S


def test_a_stopped_worker_is_ended_for_lack_of_progress_and_replaced(executor):
    died = run(executor, job("stop_itself", no_progress_timeout_s=0.3))[-1]
    assert died.cause == "no_progress"
    assert run(executor, job("double", 1))[-1].value == 2


def test_reports_count_as_progress(executor, wait):
    executor.submit(job("train_slowly", 30, no_progress_timeout_s=60.0))
    events = until(executor, Started)
    while not isinstance(events[-1], ENDS):
        events += until(executor, (Reported, *ENDS))
        wait(40.0)
    assert isinstance(events[-1], Finished)
    assert len(epochs(events)) == 30


def test_waiting_for_an_answer_is_no_lack_of_progress(executor, wait):
    executor.submit(job("train", 2, wants_answer=True, no_progress_timeout_s=60.0))
    events = until(executor, Reported)
    wait(1000.0)
    events += executor.events(0.1)
    assert epochs(events) == [1]
    executor.answer("train", Answer.STOP)
    assert isinstance(until(executor, ENDS)[-1], Finished)


def test_stop_reaches_a_job_that_does_not_wait_for_answers(executor):
    executor.submit(job("train_slowly", 1000))
    until(executor, Started)
    executor.answer("train_slowly", Answer.STOP)
    assert until(executor, Finished)[-1].value[-1] == Answer.STOP


def test_a_job_fed_ahead_moves_to_a_worker_that_idles(open_):
    executor = open_("cpu:2")
    executor.submit(job("sleep", 30, id="long"))
    executor.submit(job("sleep", 0.3, id="short"))
    executor.submit(job("double", 1, id="a"))
    executor.submit(job("double", 2, id="b"))
    ended = {}
    while len(ended) < 3:
        ended |= ends(executor.events(5.0))
    assert set(ended) == {"short", "a", "b"}
    executor.cancel("long")
    assert until(executor, Died)[-1].cause == "cancelled"


def test_a_worker_is_replaced_after_its_number_of_jobs(open_):
    executor = open_("cpu:1", limits=Limits(jobs=2))
    ended = ends(run(executor, *(job("where", id=f"w{n}") for n in range(6))))
    assert len({end.value["pid"] for end in ended.values()}) == 3


def test_a_worker_is_replaced_when_it_has_grown_since_its_first_job(open_):
    executor = open_("cpu:1", limits=Limits(growth_mb=100))
    jobs = [job("keep", megabytes, id=f"k{n}") for n, megabytes in enumerate((300, 1, 150, 1))]
    ended = ends(run(executor, *jobs))
    first, second, third, fourth = (ended[f"k{n}"].value for n in range(4))
    assert first == second == third != fourth


def test_a_job_may_ask_for_its_worker_to_be_replaced(open_):
    executor = open_("cpu:1")
    ended = ends(run(executor, job("retire"), job("where")))
    assert ended["retire"].value != ended["where"].value["pid"]


def test_a_flood_of_output_is_capped(open_, tmp_path):
    executor = open_("cpu:1", limits=Limits(log_bytes=1_000_000))
    run(executor, job("flood", 300))
    until = time.monotonic() + SOON_S  # a busy disk takes its time to cut hundreds of megabytes
    while sum(path.stat().st_size for path in (tmp_path / "logs").iterdir()) > 1_000_000:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_large_arguments_do_not_block_the_driver_behind_a_stopped_worker(open_, wait):
    executor = open_("cpu:1")
    executor.submit(job("stop_itself", timeout_s=600.0))
    until(executor, Started)
    executor.submit(job("echo_length", b"x" * 30_000_000))  # returns, or this test never ends
    wait(600.0)
    ended = ends([*until(executor, Died), *until(executor, Finished)])
    assert ended["stop_itself"].cause == "timeout"
    assert ended["echo_length"].value == 30_000_000


def test_an_argument_that_cannot_be_loaded_fails_its_job_only(open_):
    executor = open_("cpu:1")
    ended = ends(run(executor, job("echo_length", Unloadable()), job("where")))
    assert "no number" in ended["echo_length"].error
    assert isinstance(ended["where"], Finished)


def test_an_argument_that_cannot_be_pickled_is_an_error_of_whoever_submits_it(executor):
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        executor.submit(job("echo_length", lambda: None))
    assert executor.room == 2 * len(executor.slots)


def test_a_result_that_cannot_be_pickled_raises(executor):
    assert "pickle" in run(executor, job("unpicklable"))[-1].error


def test_close_ends_the_workers_and_frees_the_devices(open_, leases):
    executor = open_("cpu:2")
    executor.submit(job("ignore_term", 60))
    worker = started(until(executor, Started))
    names = [slot.name for slot in executor.slots]
    begin = time.monotonic()
    executor.close()
    assert time.monotonic() - begin < SOON_S  # the job takes a minute
    assert not psutil.pid_exists(worker.pid)
    for name in names:
        leases.try_acquire(name).release()


@pytest.mark.parametrize("patience_s", [0.0, 0.5])
def test_a_held_device_is_waited_for_so_long_and_then_refused_with_its_holder(open_, patience_s):
    open_("cpu:1", label="housing")
    begin = time.monotonic()
    with pytest.raises(BusyError, match=rf"cpu:\d+ is held by housing \(process {os.getpid()}\)"):
        open_("cpu:1", until=begin + patience_s)
    assert patience_s <= time.monotonic() - begin < patience_s + SOON_S


def test_a_second_executor_takes_the_free_devices_and_grows_when_others_come_free(open_):
    first = open_("cpu:1")
    second = open_("cpu:2")
    assert len(second.slots) == 1
    assert {slot.name for slot in first.slots}.isdisjoint(slot.name for slot in second.slots)
    first.close()
    end = time.monotonic() + SOON_S
    while len(second.slots) < 2 and time.monotonic() < end:
        second.events(0.2)
    assert len(second.slots) == 2


def test_tensorflow_in_a_worker_keeps_to_the_slot(forkserver, leases, tmp_path):
    forkserver.wait_ready()
    with LocalExecutor(
        parse_devices("cpu:1"), forkserver=forkserver, leases=leases, log_folder=tmp_path / "logs"
    ) as executor:
        setup = run(executor, job("tensorflow_setup"), seconds=60.0)[-1].value
    assert setup == {"intra": 1, "inter": 1, "gpus": 0, "product": [[3.0]]}
