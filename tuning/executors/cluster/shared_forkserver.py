"""`SharedForkServer`: a slot's side of the one forkserver of all slots of a job on a node.

TensorFlow is imported once a node, not once a slot. The forkserver belongs to a process of its own
(`node_server`), which the first slot begins and which ends with the last one: no slot's end ends
the workers of another. A slot's own workers end with it, whatever ends it: the forkserver sees the
slot's connection close.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tuning.executors.forkserver import PRELOAD, ForkServer
from tuning.storage.interpreter import PYTHON, import_path

SOCKET = "fork"
LOCK = "lock"


class SharedForkServer(ForkServer):
    """Starts children as a `ForkServer` does, from the server that this node's slots share.

    Args:
        folder: That the slots of a job share on a node.
        preload: What it imports; the first slot's holds.
    """

    def __init__(self, folder: Path, preload: Sequence[str] = PRELOAD) -> None:
        super().__init__(preload)
        self._folder = folder

    def start(self) -> None:
        """Connect to the node's server, and begin one where there is none; does not wait for it."""
        with self._lock:
            if self._control is not None and not has_hung_up(self._control):
                return
            self._discard()
            with locked(self._folder):
                control = _connected(self._folder)
                if control is None:
                    control = _begin(self._folder, self._preload)
                self._control = control

    @property
    def pid(self) -> int:
        """The server's process id; 0 until it has imported what it was told to."""
        return self.server_pid

    def _discard(self) -> int | None:
        """Let go of the server, which then ends our children; return how it counts as ended."""
        if self._control is None:
            return None
        self._control.close()
        self._control = None
        self.import_s = None
        self.server_pid = 0
        return -signal.SIGKILL  # had it an error of its own to tell, it would have told it


def has_hung_up(connection: socket.socket) -> bool:
    """Whether nobody holds the other end of a connection any more; nothing is read."""
    poller = select.poll()
    poller.register(connection, 0)
    return bool(poller.poll(0))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other slots of the node, and the server's end, from what is done meanwhile."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _connected(folder: Path) -> socket.socket | None:
    """Return a connection to the server; None where there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(folder / SOCKET))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def _begin(folder: Path, preload: Sequence[str]) -> socket.socket:
    """Begin the server; return a connection to it, which it finds waiting."""
    path = folder / SOCKET
    path.unlink(missing_ok=True)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(128)
        connection.connect(str(path))
        code = (
            f"import sys; sys.path[:] = {import_path()!r}; "
            "from tuning.executors.cluster.node_server import main; "
            f"main({listener.fileno()}, {str(folder)!r}, {tuple(preload)!r})"
        )
        # It forks at once, and goes on as nobody's child: it is to outlive this slot.
        subprocess.run(
            [*PYTHON, "-c", code],
            pass_fds=(listener.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            check=True,
        )
    return connection
