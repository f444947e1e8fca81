"""`Wire`: pickled messages over a local socket.

Neither a stopped nor a torn peer can block the driver: it posts and reads without waiting. Workers
and engine, which have nothing else to do, send and wait. A message is its length (8 bytes) and its
pickle; one of length 0 is a heartbeat, which `receive` and `recv` only count.
"""

from __future__ import annotations

import pickle
import select
import socket
import struct
import threading
import time
from typing import Any

_HEAD = struct.Struct("!Q")
_BEAT = _HEAD.pack(0)
_CHUNK = 1 << 18


class Wire:
    """One end of a socket pair between the driver and one of its own children.

    Only processes forked for this driver hold the other end, which is what makes pickle safe here.
    One thread may read while others send.

    Attributes:
        closed: Whether the peer has hung up; what it said before has been returned.
        n_heard: Grows whenever something has come from the peer, a heartbeat among it.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.closed = False
        self.n_heard = 0
        self._socket = sock
        self._in = bytearray()
        self._out = bytearray()
        self._out_lock = threading.Lock()
        self._peer_gone = False  # nobody reads what is sent
        self._has_spoken = False  # since the last heartbeat

    @classmethod
    def from_fd(cls, fd: int) -> Wire:
        """Take over a descriptor that was inherited or received."""
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether something posted has not left: call `flush` when the descriptor is writable."""
        return bool(self._out)

    def post(self, message: Any) -> None:
        """Send without waiting; what the socket does not take is kept for `flush`."""
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        with self._out_lock:
            self._out += _HEAD.pack(len(body)) + body
            self._flush()

    def hold(self, message: Any) -> None:
        """Keep a message back until the next one, or the next heartbeat, and send it with that."""
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        with self._out_lock:
            self._out += _HEAD.pack(len(body)) + body

    def flush(self) -> None:
        """Send as much as the socket takes now."""
        with self._out_lock:
            self._flush()

    def beat(self) -> None:
        """Say that this process lives; what was held back says it too, or what has just left."""
        with self._out_lock:
            if not self._out and not self._has_spoken:
                self._out += _BEAT
            self._flush()
            self._has_spoken = False

    def send(self, message: Any) -> None:
        """Send and wait until the socket has taken it all.

        Raises:
            BrokenPipeError: The peer is gone.
        """
        self.post(message)
        while self._out:
            wait_fd(self._socket.fileno(), None, select.POLLOUT)
            self.flush()
        if self._peer_gone:
            raise BrokenPipeError("the other end of the wire is gone")

    def receive(self) -> list[Any]:
        """Return the messages that are there, without waiting."""
        while not self.closed:
            data = self._read()
            if data is None:
                break
            self.closed = not data
            self._in += data

        messages = []
        body = self._cut()
        while body is not None:
            messages.append(pickle.loads(body))  # noqa: S301 - from our own child, see the class
            body = self._cut()
        return messages

    def recv(self, timeout_s: float | None = None) -> Any:
        """Wait for one message.

        Raises:
            EOFError: The peer is gone.
            TimeoutError: Nothing came within `timeout_s`.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            body = self._cut()
            if body is not None:
                return pickle.loads(body)  # noqa: S301 - from our own child, see the class

            left_s = None if until is None else until - time.monotonic()
            if not wait_fd(self._socket.fileno(), left_s):
                raise TimeoutError(f"no message within {timeout_s} s")
            data = self._read()
            if data is None:
                continue
            if not data:
                self.closed = True
                raise EOFError("the other end of the wire is gone")
            self._in += data

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        self._socket.close()

    def _read(self) -> bytes | None:
        """Return what has arrived: None where it is nothing yet, b"" where nothing will come."""
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return None
        except ConnectionResetError:  # it died with messages unread; all it sent came before
            return b""
        self.n_heard += 1
        return data

    def _cut(self) -> bytearray | None:
        """Take one whole message off the buffer, and the heartbeats before it."""
        while self._in.startswith(_BEAT):
            del self._in[: len(_BEAT)]
        if len(self._in) < _HEAD.size:
            return None
        end = _HEAD.size + int(_HEAD.unpack_from(self._in)[0])
        if len(self._in) < end:
            return None
        body = self._in[_HEAD.size : end]
        del self._in[:end]
        return body

    def _flush(self) -> None:
        try:
            while self._out:
                sent = self._socket.send(self._out[:_CHUNK])
                del self._out[:sent]
                self._has_spoken = True
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            # Reading goes on: the peer's last words may still be in the socket. Its death is seen
            # at its sentinel.
            self._out.clear()
            self._peer_gone = True


def wait_fd(fd: int, timeout_s: float | None, event: int = select.POLLIN) -> bool:
    """Return whether `fd` became ready in time; None waits for ever.

    By `poll`, as `select` ends at descriptor 1023.
    """
    poller = select.poll()
    poller.register(fd, event)
    timeout_ms = None if timeout_s is None else max(0.0, timeout_s) * 1000
    return bool(poller.poll(timeout_ms))
