"""What leaves a wire at once, and what with the next word."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tuning.executors.wire import Wire


@pytest.fixture
def wires() -> Iterator[tuple[Wire, Wire]]:
    ours, theirs = socket.socketpair()
    pair = Wire(ours), Wire(theirs)
    yield pair
    for wire in pair:
        wire.close()


def test_what_is_held_back_leaves_with_the_next_word_and_before_it(wires):
    wire, peer = wires
    wire.hold("first")
    assert peer.receive() == []
    wire.send("second")
    assert peer.receive() == ["first", "second"]


def test_what_is_held_back_leaves_with_the_next_heartbeat(wires):
    wire, peer = wires
    wire.hold("held")
    wire.beat()
    assert peer.receive() == ["held"]


def test_a_heartbeat_is_left_out_once_after_a_word(wires):
    wire, peer = wires
    wire.send("word")
    assert peer.receive() == ["word"]
    heard = peer.n_heard

    wire.beat()
    assert (peer.receive(), peer.n_heard) == ([], heard)
    wire.beat()
    assert (peer.receive(), peer.n_heard) == ([], heard + 1)
