"""A Ctrl-C whose exception Python has dropped."""

from __future__ import annotations

import os
import signal

import pytest

from tuning.training.interrupts import interrupts_noted


class Freed:
    """Gets the interrupt while it is freed, where Python drops what is raised."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(3):
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_dropped_while_an_object_is_freed_is_raised_at_the_next_check():
    with interrupts_noted() as check:
        check()
        Freed()
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_handler_is_left_in_place():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with interrupts_noted() as check:
            os.kill(os.getpid(), signal.SIGINT)
            check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]
