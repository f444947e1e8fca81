"""What searches of a cluster say to each other."""

from dataclasses import replace

import pytest

from tuning.executors.sharing.board import Board, Note

NOTE = Note(label="housing", who="ann@one", kind="cpu", per_slot=1, n_up=1, n_wanted=None)


class Store(dict):
    """Keeps entries in memory."""

    def put(self, key, value):
        self[key] = value

    def entries(self, prefix):
        return {key: value for key, value in self.items() if key.startswith(prefix)}

    def remove(self, key):
        self.pop(key, None)


@pytest.fixture
def store():
    return Store()


def test_each_sees_the_others_and_not_itself(store):
    one, two = Board(store), Board(store)
    assert one.exchange(NOTE) == []
    assert two.exchange(replace(NOTE, label="moons")) == [NOTE]
    assert one.exchange(NOTE) == [replace(NOTE, label="moons")]
    two.leave()
    assert one.exchange(NOTE) == []


def test_the_note_of_one_that_was_killed_is_removed(store):
    now = 0.0
    one, two = Board(store, lambda: now), Board(store)
    two.exchange(NOTE)
    assert one.exchange(None) == [NOTE]
    now = 14.0
    assert one.exchange(None) == [NOTE]
    now = 16.0
    assert one.exchange(None) == []
    assert dict(store) == {}


def test_one_that_lives_stays_however_long_nothing_changes(store):
    times = iter([0.0, 10.0, 20.0, 30.0])
    one, two = Board(store, lambda: next(times)), Board(store)
    for _ in range(4):
        two.exchange(NOTE)
        assert one.exchange(None) == [NOTE]


def test_a_note_of_another_form_is_passed_over(store):
    store["search-x"] = b'{"label": "of a later release"}'
    store["search-y"] = b"?"
    assert Board(store).exchange(NOTE) == []


def test_people_are_told_who_has_how_many_slots():
    assert NOTE.words() == "housing of ann@one (1 slot)"
    assert replace(NOTE, n_up=4, label="").words() == "a command of ann@one (4 slots)"
