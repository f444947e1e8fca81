"""How many slots each search of a cluster may have."""

from dataclasses import replace

import pytest

from tuning.executors.sharing.board import Note
from tuning.executors.sharing.fair_share import FairShare

OURS = Note(label="a", who="ann@one", kind="cpu", per_slot=1, n_up=4, n_wanted=None)
NEW = replace(OURS, label="b", n_up=0)


def look(share, own, others, n_free=0, n_unknown=0):
    """What it comes to at one look at all slots, `n_unknown` of another program's among them."""
    kin = [note for note in (own, *others) if note.kind == own.kind]
    used = sum(note.n_up * note.per_slot for note in kin)
    return share.most(own, others, used + n_free + n_unknown, n_free)


def settled(own, others, **more):
    """What it comes to when the same is seen again and again."""
    share = FairShare()
    return [look(share, own, others, **more) for _ in range(5)][-1]


def test_alone_a_search_has_all():
    assert settled(OURS, []) is None


@pytest.mark.parametrize(
    ("others", "most"),
    [
        ([NEW], 2),
        ([NEW, NEW], 2),  # one each for them, and what is left over
        ([replace(NEW, n_wanted=1)], 3),
        ([replace(NEW, n_wanted=0)], None),  # it has been told to pause
        ([replace(NEW, kind="gpu")], None),
        ([NEW] * 9, 1),
    ],
)
def test_searches_that_use_what_there_is_share_it_evenly(others, most):
    assert settled(OURS, others) == most


def test_a_search_that_was_told_a_number_keeps_what_it_has():
    assert settled(replace(OURS, n_wanted=4), [NEW]) is None
    assert settled(replace(OURS, n_up=1), [replace(NEW, n_up=3, n_wanted=3)]) == 1


def test_nothing_is_given_up_before_others_have_lacked_it_for_a_while():
    share = FairShare()
    assert [look(share, OURS, [NEW]) for _ in range(4)] == [4, 4, 2, 2]


def test_what_is_free_is_taken_before_anything_is_given_up():
    assert settled(OURS, [NEW], n_free=4) == 4


def test_it_begins_anew_when_the_others_have_their_part():
    share = FairShare()
    for _ in range(2):
        look(share, OURS, [NEW])
    look(share, replace(OURS, n_up=2), [replace(NEW, n_up=2)])
    assert look(share, OURS, [NEW]) == 4


def test_two_that_have_their_part_stay_at_it():
    assert settled(replace(OURS, n_up=2), [replace(NEW, n_up=2)]) == 2


def test_gpus_are_counted_and_slots_of_several_are_whole():
    ours = replace(OURS, kind="gpu", per_slot=2, n_up=4)
    assert settled(ours, [replace(ours, n_up=0)]) == 2
    assert settled(ours, [replace(ours, n_up=0, per_slot=1, n_wanted=1)]) == 3


def test_a_slot_on_its_way_is_counted_and_another_programs_is_not():
    share = FairShare()
    for _ in range(4):
        look(share, OURS, [NEW])
    assert look(share, replace(OURS, n_up=3), [NEW], n_unknown=1) == 2
    assert settled(OURS, [NEW], n_unknown=2) == 2
    assert settled(OURS, [replace(NEW, n_up=1)], n_unknown=1) == 3
