"""The process `tuning-node`: holds the forkserver that all slots of a job on a node share.

The slots' side is `shared_forkserver`. A slot connects to the socket in their common folder; its
connection is handed to the forkserver, which serves it as it does its own (`executors.server`).
This process keeps a copy of each only to see it close: it ends with the last slot, and everything
that it has started ends with it.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tuning.errors import TuningError
from tuning.executors.cluster.boot import PREFIX
from tuning.executors.cluster.shared_forkserver import SOCKET, has_hung_up, locked
from tuning.executors.forkserver import CANNOT_IMPORT, ForkServer
from tuning.executors.server import END, SERVE
from tuning.executors.supervision.linux import name_process
from tuning.executors.supervision.parts import FORKSERVER, NODE
from tuning.executors.supervision.silence import Silence
from tuning.storage.scratch import sweep

_LOOK_S = 0.5
_REMOVE_S = 10.0
"""So long the folder's removal waits for the last slot's process to end."""


def main(listener: int, folder: str, preload: Sequence[str]) -> None:
    """Serve the slots of a node until the last one has gone; the caller's process ends at once.

    Args:
        listener: A listening Unix socket, with a first slot in its queue.
        folder: That the slots share.
        preload: What the forkserver imports.
    """
    if os.fork() != 0:
        os._exit(0)
    name_process(NODE.name)
    sweep(PREFIX)
    with socket.socket(fileno=listener) as sock, _Owner(preload) as forkserver:
        _NodeServer(sock, Path(folder), forkserver).run()
    _remove(Path(folder))


class _Owner(ForkServer):
    """The forkserver, as its owner has it."""

    def admit(self, connection: socket.socket) -> None:
        """Let whoever holds the other end ask for children, too."""
        if self._control is not None:
            with suppress(BrokenPipeError, ConnectionResetError):  # seen at the next look
                socket.send_fds(self._control, [SERVE], [connection.fileno()])

    @property
    def has_ended(self) -> bool:
        """Whether the forkserver is gone, after its imports."""
        return self._process is None or self._process.poll() is not None


class _NodeServer:
    """The loop.

    Args:
        listener: Where slots come in.
        folder: That they share.
        forkserver: Started.
    """

    def __init__(self, listener: socket.socket, folder: Path, forkserver: _Owner) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._folder = folder
        self._forkserver = forkserver
        self._slots: list[socket.socket] = []
        self._silence = Silence(FORKSERVER.silence_s)

    def run(self) -> None:
        """Serve until no slot is left, or the forkserver is gone."""
        while True:
            self._wait()
            self._admit()
            try:
                self._look_at_imports()
            except TuningError as error:
                self._tell(f"failed:{str(error).removeprefix(CANNOT_IMPORT)}")
                break
            if self._forkserver.import_s is not None and self._forkserver.has_ended:
                break  # each slot sees its connection close, and begins another
            self._slots = [slot for slot in self._slots if not has_hung_up(slot)]
            if not self._slots and self._is_last():
                return
        with locked(self._folder):
            (self._folder / SOCKET).unlink(missing_ok=True)

    def _wait(self) -> None:
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        if self._forkserver.fileno() >= 0:
            poller.register(self._forkserver.fileno(), select.POLLIN)
        for slot in self._slots:
            poller.register(slot, 0)
        poller.poll(_LOOK_S * 1000)

    def _admit(self) -> None:
        with suppress(BlockingIOError):
            while True:
                slot, _ = self._listener.accept()
                self._slots.append(slot)
                if self._forkserver.import_s is not None:
                    self._forkserver.admit(slot)

    def _look_at_imports(self) -> None:
        """Admit the slots that wait once the imports are done; begin anew where they hang."""
        if self._forkserver.import_s is not None:
            return
        self._forkserver.check()
        if self._forkserver.import_s is not None:
            for slot in self._slots:
                self._forkserver.admit(slot)
        elif self._silence.exceeded(0, self._forkserver.pid):
            os.kill(self._forkserver.pid, signal.SIGKILL)

    def _tell(self, words: str) -> None:
        for slot in self._slots:
            with suppress(OSError):  # it has gone
                slot.sendall(words.encode() + END)

    def _is_last(self) -> bool:
        """Whether no slot has come at the last moment; then none can come any more."""
        with locked(self._folder):
            self._admit()
            if not self._slots:
                (self._folder / SOCKET).unlink(missing_ok=True)
            return not self._slots


def _remove(folder: Path) -> None:
    """Remove the folder once nobody holds it; what is left is removed by another search's."""
    until = time.monotonic() + _REMOVE_S
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        while time.monotonic() < until:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.1)
                continue
            shutil.rmtree(folder, ignore_errors=True)
            return
