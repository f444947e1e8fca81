"""Faults inside the processes of a run: interpreters whose PYTHONPATH has this folder read it.

| variable | what it does |
|---|---|
| `CHAOS_FAILPOINT` | `module:name when share`: SIGKILL `before` or `after` a share of the calls |
| `CHAOS_SILENCE_S` | so long the parts may be silent, in place of the limits of the table |
| `CHAOS_CLOCK_S` | the wall clock jumps by so many seconds, there and back, about once a second |
| `CHAOS_LOG` | a file that gets a line before each kill |
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

_PARTS = "tuning.executors.supervision.parts"


def _kill_at(point: str) -> tuple[str, Callable[[ModuleType], None]]:
    """Return the module of a failpoint, and what changes it once it is imported."""
    place, when, share = point.split()
    module_name, _, name = place.partition(":")

    def change(module: ModuleType) -> None:
        *path, last = name.split(".")
        owner: Any = functools.reduce(getattr, path, module)
        original = getattr(owner, last)

        @functools.wraps(original)
        def killing(*args: Any, **words: Any) -> Any:
            # Not a seeded draw: a forked process would draw what its brother drew.
            is_chosen = random.SystemRandom().random() < float(share)
            if is_chosen and when == "before":
                _end(point)
            answer = original(*args, **words)
            if is_chosen:
                _end(point)
            return answer

        setattr(owner, last, killing)

    return module_name, change


def _end(point: str) -> None:
    with open(os.environ["CHAOS_LOG"], "a") as log:
        log.write(f"{_real_time()} {os.getpid()} {point}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def _shorten_silence(parts: ModuleType) -> None:
    for part in parts.PARTS.values():
        if part.silence_s is not None:
            part.silence_s = float(os.environ["CHAOS_SILENCE_S"])


def _step_clock(step_s: float) -> None:
    """Let `time.time` jump: forwards, back, and to where it belongs."""

    def time_of_day() -> float:
        return _real_time() + step_s * (int(time.monotonic() / 0.7) % 3 - 1)

    time.time = time_of_day


class _AfterImport(importlib.abc.MetaPathFinder):
    """Calls what changes a module right after its import."""

    def __init__(self, changes: dict[str, Callable[[ModuleType], None]]) -> None:
        self._changes = changes

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        change = self._changes.get(name)
        if change is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_change(module: ModuleType) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = load_and_change  # type: ignore[method-assign]
        return spec


_real_time = time.time
_changes = {}
if os.environ.get("CHAOS_FAILPOINT"):
    _changes.update([_kill_at(os.environ["CHAOS_FAILPOINT"])])
if os.environ.get("CHAOS_SILENCE_S"):
    _changes[_PARTS] = _shorten_silence
if os.environ.get("CHAOS_CLOCK_S"):
    _step_clock(float(os.environ["CHAOS_CLOCK_S"]))
if _changes:
    sys.meta_path.insert(0, _AfterImport(_changes))
