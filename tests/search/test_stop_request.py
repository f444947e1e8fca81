"""Signals and the deadline as flags."""

from __future__ import annotations

import math
import os
import signal
import threading
import time

import pytest

from tuning.search.stop_request import StopRequest, terminated_is_exit


@pytest.fixture
def stop_request():
    it = StopRequest()
    with it.handled():
        yield it


def send(number):
    os.kill(os.getpid(), number)


def test_where_only_flags_are_set_a_first_interrupt_asks_for_the_end_and_a_second_for_haste(
    stop_request,
):
    with stop_request.flags_only():
        assert (stop_request.reason, stop_request.by_signal) == ("", False)
        send(signal.SIGINT)
        assert (stop_request.reason, stop_request.by_signal) == ("interrupted", True)
        assert (stop_request.hurried, stop_request.abandoned) == (False, False)
        send(signal.SIGINT)
        assert (stop_request.hurried, stop_request.abandoned) == (True, True)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_sigterm_gives_the_trials_a_moment(stop_request, monkeypatch):
    with stop_request.flags_only():
        send(signal.SIGTERM)
        assert (stop_request.reason, stop_request.hurried, stop_request.abandoned) == (
            "terminated",
            True,
            False,
        )
        monkeypatch.setattr("tuning.search.stop_request.GRACE_S", 0.0)
        assert stop_request.abandoned


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_elsewhere_a_signal_raises_so_that_nobody_waits(stop_request, number, kind):
    with pytest.raises(kind):
        send(number)
    assert stop_request.by_signal


def test_a_signal_that_came_before_raises_where_it_may(stop_request):
    with stop_request.flags_only():
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), stop_request.may_raise():
            pytest.fail("it would have waited here")


def test_the_deadline_is_no_signal():
    stop_request = StopRequest()
    stop_request.deadline = 0.0
    assert (stop_request.reason, stop_request.by_signal, stop_request.hurried) == (
        "timeout",
        False,
        False,
    )


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


class Moment:
    """Stands in for `Until`."""

    seconds_left = 40.0
    has_come = False


def test_until_a_moment_nothing_is_asked_and_then_the_run_drains(monkeypatch):
    moment = Moment()
    stop_request = StopRequest(until=moment)
    assert (stop_request.reason, stop_request.by_signal) == ("", False)
    assert 39.0 < stop_request.gives_up_at - time.monotonic() <= 40.0
    moment.has_come = True
    assert (stop_request.reason, stop_request.by_signal) == ("until", True)
    assert (stop_request.hurried, stop_request.abandoned) == (False, False)
    monkeypatch.setattr("tuning.search.stop_request.DRAIN_S", 0.0)
    assert stop_request.abandoned


def test_a_clock_that_is_set_back_after_the_moment_does_not_bring_the_run_back():
    moment = Moment()
    stop_request = StopRequest(until=moment)
    moment.has_come = True
    assert stop_request.reason == "until"
    moment.has_come = False
    assert stop_request.reason == "until"


def test_a_device_is_waited_for_until_the_deadline_or_the_moment():
    stop_request = StopRequest()
    assert stop_request.gives_up_at == math.inf
    stop_request.deadline = 7.0
    assert stop_request.gives_up_at == 7.0


def test_sigusr1_asks_for_nothing_but_a_look(stop_request):
    send(signal.SIGUSR1)
    assert (stop_request.n_looks, stop_request.reason) == (1, "")


def test_sigusr1_ends_no_command_that_does_not_listen_yet():
    before = signal.getsignal(signal.SIGUSR1)
    with terminated_is_exit():
        send(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) == before
