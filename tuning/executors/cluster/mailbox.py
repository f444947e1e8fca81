"""`Mailbox`: what other threads put in, for one that waits by `poll`."""

from __future__ import annotations

import os
import queue
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A queue with a descriptor that is readable while something is in it."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self._read_fd

    def put(self, item: T) -> None:
        """Add an item, from any thread."""
        self._queue.put(item)
        with suppress(BlockingIOError, OSError):  # full of wake-ups already; or closed
            os.write(self._write_fd, b"x")

    def take(self) -> list[T]:
        """Return what is in it, without waiting."""
        with suppress(BlockingIOError):
            while os.read(self._read_fd, 4096):
                pass
        items: list[T] = []
        with suppress(queue.Empty):
            while True:
                items.append(self._queue.get_nowait())
        return items

    def close(self) -> None:
        """Close the descriptors; what is put in later stays."""
        os.close(self._read_fd)
        os.close(self._write_fd)
