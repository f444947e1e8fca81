"""How a trial that has to leave its slots again and again is kept from beginning for ever."""

from __future__ import annotations

import os

import pytest

from tuning.search.slots.moves import Moves, kept_of_trial


@pytest.fixture
def move(tmp_path):
    """Return what is said of a move, having kept a checkpoint or not."""
    moves = Moves()

    def move(*, keeps=False, reported=True, is_function=False):
        if keeps:
            move.n += 1
            file = tmp_path / f"attempt-{move.n}" / "fold-0.npz"
            file.parent.mkdir()
            file.touch()
        kept = kept_of_trial(tmp_path)
        return moves.note("trial 7", kept, reported=reported, is_function=is_function)

    move.n = 0
    move.moves = moves
    return move


def test_who_keeps_a_checkpoint_each_time_may_leave_however_often(move):
    assert [move(keeps=True) for _ in range(9)] == [""] * 9
    assert move.moves.leaves == "soon"


def test_who_ends_epochs_and_keeps_nothing_stays_to_its_end_the_third_time(move):
    assert move() == "trial 7 has left its slot and nothing was kept: it begins anew"
    assert move.moves.leaves == "soon"
    assert move() == (
        "trial 7 has left its slot and nothing was kept: it begins anew, and stays on the next "
        "slot until it has ended"
    )
    assert move.moves.leaves == "end"


def test_of_a_plain_function_the_reason_is_told(move):
    words = move(is_function=True)
    assert words.startswith("trial 7 has left its slot and of a plain function nothing is kept: it")


def test_who_never_ends_an_epoch_stays_until_it_has_ended_one(move):
    move(reported=False)
    assert move(reported=False).endswith("stays on the next slot until an epoch has ended there")
    assert move.moves.leaves == "epoch"
    # It has: and where that was of no use either, only its own end is.
    move(reported=True)
    assert move.moves.leaves == "end"


def test_a_new_checkpoint_begins_the_count_anew(move):
    move(keeps=True)
    assert move() == (
        "trial 7 has left its slot within an epoch: it goes on from its last checkpoint"
    )
    move()
    assert move.moves.leaves == "epoch"
    move(keeps=True)
    assert (move.moves.leaves, move.moves.n_fruitless) == ("soon", 0)


def test_a_checkpoint_that_is_written_over_is_a_new_one(tmp_path):
    file = tmp_path / "0.kept-0.npz"
    file.touch()
    moves = Moves()
    for at in (1, 2, 3):
        os.utime(file, ns=(at, at))
        assert moves.note("final-7-0", [file], reported=True, is_function=False) == ""
