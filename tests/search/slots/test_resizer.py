"""A running search is told of other slots by a file, and answers in another."""

from __future__ import annotations

import os
import time

import pytest

from tuning.errors import StudyError
from tuning.executors.devices.foreign import Foreign
from tuning.executors.devices.slots import parse_devices
from tuning.ledger.records import read_record
from tuning.search.slots.requests import (
    ANSWER_FILE,
    ONLY_LOOK,
    REQUEST_FILE,
    SlotAnswer,
    write_request,
)
from tuning.search.slots.resizer import Resizer
from tuning.search.slots.yielding import Yielding


class FakeExecutor:
    """Has at once what it is told to have, but for slots that are held elsewhere."""

    def __init__(self, slots):
        self.held = tuple(slots)
        self.leaving = ()
        self.elsewhere = set()

    def resize(self, slots):
        names = [slot.name for slot in slots]
        self.leaving = tuple(slot for slot in self.held if slot.name not in names)
        self.held = tuple(slot for slot in slots if slot.name not in self.elsewhere)


@pytest.fixture(autouse=True)
def gpus(monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a,GPU-b,GPU-c")


class Search:
    """A resizer on fakes, with what it has said."""

    def __init__(self, folder, devices="gpu", **changes):
        self.folder = folder
        self.said = []
        slots = parse_devices(devices)
        self.executor = FakeExecutor(slots)
        fields = {
            "folder": folder,
            "devices": devices,
            "slots": slots,
            "parse": parse_devices,
            "begun_ns": 0,
            "notice": self.said.append,
            **changes,
        }
        self.resizer = Resizer(self.executor, **fields)

    def ask(self, devices):
        request = write_request(self.folder, devices)
        self.resizer.look()
        assert self.answer.request == request
        return self.answer

    @property
    def answer(self):
        return read_record(SlotAnswer, self.folder / ANSWER_FILE)

    @property
    def held(self):
        return [slot.name for slot in self.executor.held]


@pytest.fixture
def search(tmp_path):
    return Search(tmp_path)


def test_nobody_who_asks_leaves_no_file(search):
    search.resizer.look()
    assert list(search.folder.iterdir()) == []


def test_a_look_changes_nothing_and_says_what_there_is(search):
    answer = search.ask(ONLY_LOOK)
    assert (answer.devices, answer.slots) == ("gpu", ("GPU-a", "GPU-b", "GPU-c"))
    assert answer.pid == os.getpid()
    assert search.said == []


def test_a_request_is_taken_up_once_and_answered(search):
    search.executor.elsewhere = {"GPU-b"}
    answer = search.ask("0,1")
    assert (answer.slots, answer.leaving, answer.missing) == (
        ("GPU-a",),
        ("GPU-c",),
        ("GPU-b",),
    )
    assert search.said == ["slots from now on: GPU-a, GPU-b"]
    search.resizer.look()
    assert len(search.said) == 1


def test_the_answer_follows_what_becomes_of_the_slots(search):
    search.ask("0")
    assert search.answer.leaving == ("GPU-b", "GPU-c")
    search.executor.leaving = ()
    search.resizer.look()
    assert search.answer.leaving == ()


def test_none_gives_all_up_and_says_that_it_waits(search):
    assert search.ask("none").slots == ()
    assert search.said == ["slots from now on: none; the search waits until there are some again"]
    assert search.ask("auto").slots == ("GPU-a", "GPU-b", "GPU-c")


def test_a_request_that_means_nothing_is_answered_in_words_and_the_search_goes_on(search):
    answer = search.ask("7")
    assert "there is no device '7'; GPUs found: 0 (GPU-a)" in answer.error
    assert answer.slots == ("GPU-a", "GPU-b", "GPU-c")
    assert search.ask(ONLY_LOOK).error == ""


def test_an_executor_that_cannot_is_told_of_in_words(search, monkeypatch):
    def refuse(slots):
        raise StudyError("one slot for good")

    monkeypatch.setattr(search.executor, "resize", refuse)
    assert "one slot for good" in search.ask("0").error
    assert search.ask(ONLY_LOOK).missing == ()


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\x00", b"x" * 100_000])
def test_any_bytes_as_a_request_are_refused(search, damage):
    (search.folder / REQUEST_FILE).write_bytes(damage)
    search.resizer.look()
    assert search.answer.error
    assert len(search.held) == 3


def test_a_request_that_cannot_be_read_is_refused(search):
    (search.folder / REQUEST_FILE).mkdir()
    search.resizer.look()
    assert "cannot be read" in search.answer.error


def test_a_signal_has_the_file_read_again(search):
    search.ask("0")
    search.executor.held = tuple(parse_devices("gpu"))  # as if it had not been heard
    search.resizer.look(0)
    assert len(search.held) == 3
    search.resizer.look(1)
    assert search.held == ["GPU-a"]


def test_what_was_asked_of_an_earlier_run_is_forgotten(tmp_path):
    write_request(tmp_path, "0")
    search = Search(tmp_path, begun_ns=time.time_ns() + 1_000_000_000)
    search.resizer.look()
    assert len(search.held) == 3
    assert not (tmp_path / REQUEST_FILE).exists()


def test_what_was_asked_while_the_run_began_is_taken_up(tmp_path):
    begun_ns = time.time_ns() - 1_000_000_000
    write_request(tmp_path, "0")
    search = Search(tmp_path, begun_ns=begun_ns)
    search.resizer.look()
    assert search.held == ["GPU-a"]


def test_nothing_is_left_in_the_folder_of_a_run_that_has_ended(search):
    with search.resizer:
        search.ask("0")
    assert list(search.folder.iterdir()) == []


class Others:
    """Somebody else's processes by GPU, and a clock."""

    def __init__(self):
        self.by_gpu = {}
        self.now = 100.0

    def yielding(self):
        return Yielding(lambda: self.by_gpu, clock=lambda: self.now)


@pytest.fixture
def others():
    return Others()


@pytest.fixture
def yielding_search(tmp_path, others):
    return Search(tmp_path, yielding=others.yielding())


def test_a_gpu_on_which_somebody_computes_is_left_and_taken_again(yielding_search, others):
    search = yielding_search
    others.by_gpu["GPU-b"] = [Foreign(17, "alice", "python")]
    search.resizer.look()
    assert search.held == ["GPU-a", "GPU-c"]
    assert search.said == ["GPU-b is left to process 17 (alice, python)"]

    others.by_gpu.clear()
    others.now += 5.0
    search.resizer.look()
    assert search.held == ["GPU-a", "GPU-c"]  # her script may begin its next program
    others.now += 6.0
    search.resizer.look()
    assert search.held == ["GPU-a", "GPU-b", "GPU-c"]
    assert search.said[1:] == ["GPU-b is free and taken again"]


def test_a_gpu_that_is_left_is_wanted_still(yielding_search, others):
    search = yielding_search
    others.by_gpu["GPU-b"] = [Foreign(17, "alice", "python")]
    search.resizer.look()
    answer = search.ask("1,2")
    assert (answer.slots, answer.yielded, answer.missing) == (("GPU-c",), ("GPU-b",), ())


def test_all_gpus_of_a_slot_count_and_a_share_counts_for_its_gpu(others):
    others.by_gpu["GPU-b"] = [Foreign(17, "alice", "python")]
    pair = parse_devices("gpu", 2)
    yielding = others.yielding()
    assert yielding.look(pair)
    assert yielding.yielded == {"GPU-a+GPU-b"}


def test_cpu_slots_are_never_left(others):
    assert not others.yielding().look(parse_devices("cpu:2"))
