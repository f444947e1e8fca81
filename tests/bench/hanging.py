"""Has the workers of a forkserver ask an engine that hangs: what the forkserver loads first."""

from __future__ import annotations

import ctypes
import time

from tuning.bench import engine_limit
from tuning.engines.optuna import OptunaEngine
from tuning.executors.supervision import parts

LIMIT_S = 3.0
HANGS_AT = 2


def load():
    """Shorten the limits; from the third ask on an Optuna engine never answers."""
    parts.ENGINE.answer_s = LIMIT_S
    engine_limit._BLOCKED_S = 1.0
    ask = OptunaEngine.ask

    def hang(engine, number):
        if number == HANGS_AT:
            loop()
        return ask(engine, number)

    OptunaEngine.ask = hang


def loop():
    """Never end, as Python code does."""
    while True:
        pass


def sleep():
    """Never end, in a call that lets other threads run."""
    time.sleep(3600)


def keep_the_lock():
    """Never end, in a call that keeps Python's lock."""
    ctypes.PyDLL(None).sleep(3600)
