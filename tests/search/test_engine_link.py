"""The wire to an engine process: how long an answer is waited for."""

from __future__ import annotations

import os
from collections import deque
from types import SimpleNamespace

import pytest

from tuning.search import engine_link as module
from tuning.search.engine_link import EngineLink
from tuning.search.stop_request import StopRequest


class SlowWire:
    """Has the answer only at the fourth look; nothing is ever ready before."""

    def __init__(self, fd):
        self.closed = False
        self.pending = False
        self.n_heard = 0
        self._fd = fd
        self._looks = deque([[], [], [], ["answer"]])

    def fileno(self):
        return self._fd

    def post(self, message):
        pass

    def flush(self):
        pass

    def receive(self):
        return self._looks.popleft()


@pytest.fixture
def link(monkeypatch):
    """A link whose answers come after 60 ms, where 30 are allowed."""
    monkeypatch.setattr(module, "_SLICE_S", 0.02)
    read_fd, write_fd = os.pipe()
    child = SimpleNamespace(
        wire=SlowWire(read_fd), pid=None, poll=lambda: None, signal=lambda number: None
    )
    forkserver = SimpleNamespace(check=lambda: None, look_after=lambda: None)
    yield EngineLink(
        forkserver, child, answer_s=0.03, stop_request=StopRequest(), notice=lambda text: None
    )
    os.close(read_fd)
    os.close(write_fd)


def test_an_answer_that_takes_too_long_ends_the_process(link):
    link.send(("ask", 0))
    with pytest.raises(ConnectionError, match=r"more than 0\.03 s for one answer"):
        link.recv()
    assert link.too_slow


def test_many_asks_at_once_may_take_longer_than_one(link):
    link.send(("replay", []))
    assert link.recv() == "answer"
