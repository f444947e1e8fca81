"""`Child`: the driver's side of a process that the forkserver has forked."""

from __future__ import annotations

import os
import signal
import time

from tuning.executors.server import NUMBER
from tuning.executors.wire import Wire, wait_fd


class Child:
    """A forked process and the wire to it.

    Attributes:
        sentinel: Readable when `poll` has news: the child was forked, or has ended.
        pid: Known once `poll` has seen the fork.
        exitcode: As subprocess gives it, minus the signal's number where one ended it; 255 if it
            was never forked.
        server_gone: The forkserver is gone, and the child with it.
    """

    def __init__(self, wire: Wire, sentinel: int) -> None:
        self.wire = wire
        self.sentinel = sentinel
        self.pid: int | None = None
        self.exitcode: int | None = None
        self.server_gone = False
        os.set_blocking(sentinel, False)

    def poll(self) -> int | None:
        """Return the exit code, or None while the child lives or has still to be forked."""
        while self.exitcode is None and self.sentinel >= 0:
            try:
                data = os.read(self.sentinel, NUMBER.size)
            except BlockingIOError:
                break
            if not data:  # the server is gone, and with it the child
                self.server_gone = True
                self.exitcode = -signal.SIGKILL if self.pid else 255
            elif self.pid is None:
                self.pid = NUMBER.unpack(data)[0]
            else:
                self.exitcode = NUMBER.unpack(data)[0]
        return self.exitcode

    @property
    def waits_for_server(self) -> bool:
        """Whether the forkserver has still to fork it, or to tell how it ended."""
        if self.sentinel < 0 or self.exitcode is not None:
            return False
        return self.pid is None or self.wire.closed

    def signal(self, number: int) -> None:
        """Send a signal to the child and what it has started.

        Nothing happens where it has ended or has yet to begin.
        """
        if self.sentinel < 0 or self.poll() is not None or self.pid is None:
            return
        for send in (os.killpg, os.kill):  # at its very start it has no group of its own yet
            try:
                send(self.pid, number)
                return
            except ProcessLookupError:
                continue

    def join(self, timeout_s: float | None = None) -> int | None:
        """Wait for the end; return the exit code, or None where it did not come in time."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while self.poll() is None:
            if until is None:
                wait_fd(self.sentinel, None)
                continue

            left_s = until - time.monotonic()
            if left_s <= 0:
                break
            wait_fd(self.sentinel, left_s)
        return self.exitcode

    def close(self) -> None:
        """Give up the child: it ends when it next listens to its wire."""
        self.wire.close()
        if self.sentinel >= 0:
            os.close(self.sentinel)
            self.sentinel = -1
