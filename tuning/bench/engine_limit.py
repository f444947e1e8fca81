"""`EngineLimit`: an engine of a benchmark that never answers ends with its worker.

Engine, loop and trainer of a search are threads of one process here, so the driver cannot end the
engine alone, as it does in a search. The limit is the same one, see
`tuning.executors.supervision.parts`.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

_BLOCKED_S = 30.0
"""After the limit: until a call that has kept Python's lock all the while is ended by a timer in
C, with nothing recorded.
"""
_MOST_LOOKS_S = 1.0
_STDERR = 2


class _Call(NamedTuple):
    """What an engine is asked, and since when, on the monotonic clock."""

    name: str
    began_at: float


class EngineLimit:
    """Watches the calls of one engine from a thread of its own, and ends this process.

    Args:
        limit_s: So long one call may take.
        on_late: Called before that, in the watching thread, with the reason in words: what is to
            be kept is kept now.
    """

    def __init__(self, limit_s: float, on_late: Callable[[str], None]) -> None:
        self._limit_s = limit_s
        self._on_late = on_late
        self._call: _Call | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="engine limit", daemon=True)

    @contextmanager
    def answering(self, name: str) -> Iterator[None]:
        """Count the time of this block against the limit.

        Args:
            name: What the engine is asked, for the reason.
        """
        blocked_s = min(self._limit_s + _BLOCKED_S, threading.TIMEOUT_MAX)
        faulthandler.dump_traceback_later(blocked_s, file=_STDERR, exit=True)
        self._call = _Call(name, time.monotonic())
        try:
            yield
        finally:
            self._call = None
            faulthandler.cancel_dump_traceback_later()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._closed.set()

    def _watch(self) -> None:
        pause_s = min(_MOST_LOOKS_S, self._limit_s / 4)
        while not self._closed.wait(pause_s):
            call = self._call
            if call is not None and time.monotonic() - call.began_at >= self._limit_s:
                self._end(call)

    def _end(self, call: _Call) -> None:
        reason = f"the engine took more than {self._limit_s:g} s for one answer ('{call.name}')"
        faulthandler.dump_traceback(file=_STDERR)  # into the worker's log: where it is
        try:
            self._on_late(reason)
        finally:
            os._exit(1)
