"""Signals and the deadline as flags."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tuning.search.stop_request import StopRequest


@pytest.fixture
def stopping():
    it = StopRequest()
    with it.handled():
        yield it


def send(number):
    os.kill(os.getpid(), number)


def test_where_only_flags_are_set_a_first_interrupt_asks_for_the_end_and_a_second_for_haste(
    stopping,
):
    with stopping.flags_only():
        assert (stopping.reason, stopping.by_signal) == ("", False)
        send(signal.SIGINT)
        assert (stopping.reason, stopping.by_signal, stopping.hurried, stopping.abandoned) == (
            "interrupted",
            True,
            False,
            False,
        )
        send(signal.SIGINT)
        assert (stopping.hurried, stopping.abandoned) == (True, True)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_sigterm_gives_the_trials_a_moment(stopping, monkeypatch):
    with stopping.flags_only():
        send(signal.SIGTERM)
        assert (stopping.reason, stopping.hurried, stopping.abandoned) == (
            "terminated",
            True,
            False,
        )
        monkeypatch.setattr("tuning.search.stop_request.GRACE_S", 0.0)
        assert stopping.abandoned


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_elsewhere_a_signal_raises_so_that_nobody_waits(stopping, number, kind):
    with pytest.raises(kind):
        send(number)
    assert stopping.by_signal


def test_a_signal_that_came_before_raises_where_it_may(stopping):
    with stopping.flags_only():
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), stopping.may_raise():
            pytest.fail("it would have waited here")


def test_the_deadline_is_no_signal():
    stopping = StopRequest()
    stopping.deadline = 0.0
    assert (stopping.reason, stopping.by_signal, stopping.hurried) == ("timeout", False, False)


def test_the_users_own_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopRequest().handled():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_in_another_thread_no_signal_is_taken_and_nothing_fails():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with StopRequest().handled():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
