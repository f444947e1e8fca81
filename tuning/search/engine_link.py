"""`EngineLink`: the driver's end of the wire to an engine process, which never waits for ever."""

from __future__ import annotations

import select
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tuning.engines.memory.replay import MOST_S
from tuning.engines.remote import REPLAY
from tuning.errors import TuningError
from tuning.executors.child import Child
from tuning.executors.forkserver import ForkServer
from tuning.executors.supervision.parts import ENGINE
from tuning.executors.supervision.silence import Silence
from tuning.search.stop_request import StopRequest

_SLICE_S = 0.25  # between looks at signals and limits while an answer is waited for
_CLOSING_S = 5.0  # for the engine's last words
_SAID_AT_S = (30.0, 120.0, 600.0)
"""When the user is told that an answer is still waited for."""


class EngineLink:
    """One engine process and the wire to it; a `Connection` of `RemoteEngine`.

    An answer is waited for until the process ends, gives no sign of life, or has had its time; then
    it is killed, and `recv` raises `ConnectionError` with the reason.

    Attributes:
        closing: Its last words are waited for, but not for long.
        exit_code: Of the process, as subprocess gives it; None while it lives.
        too_slow: It was ended because an answer took too long.

    Args:
        forkserver: What the process is forked from, and ends with.
        child: The process.
        answer_s: So long an answer may take.
        stop_request: Once it is not to be waited for any longer, `recv` raises.
        notice: Told what is waited for.
    """

    def __init__(
        self,
        forkserver: ForkServer,
        child: Child,
        *,
        answer_s: float,
        stop_request: StopRequest,
        notice: Callable[[str], None],
    ) -> None:
        self.closing = False
        self.exit_code: int | None = None
        self.too_slow = False

        self._forkserver = forkserver
        self._child = child
        self._answer_s = answer_s
        self._stop_request = stop_request
        self._notice = notice
        self._silence = Silence(ENGINE.silence_s)
        self._inbox: deque[Any] = deque()
        self._call = ""

    def send(self, message: Any, /) -> None:
        """Send a call without waiting: an engine that is stopped takes nothing."""
        if self._child.wire.closed:
            raise ConnectionResetError(self._how_it_ended())
        self._call = str(message[0])
        self._child.wire.post(message)

    def recv(self) -> Any:
        """Wait for one answer.

        Raises:
            ConnectionError: The process is gone, or was ended; says why.
            TuningError: The run is to end at once.
            MissingError: The forkserver cannot import what is needed.
        """
        began_at = time.monotonic()
        said_at = deque(_SAID_AT_S)
        while True:
            self._inbox.extend(self._child.wire.receive())
            if self._inbox:
                return self._inbox.popleft()
            if self._child.wire.closed:
                raise ConnectionResetError(self._how_it_ended())
            if self._wait():
                continue

            waited_s = time.monotonic() - began_at
            self._look_after(waited_s)
            if said_at and waited_s >= said_at[0] and not self.closing:
                said_at.popleft()
                self._notice(f"{self._waited_for} takes {waited_s:.0f} s so far")

    def close(self) -> None:
        """Hang up."""
        self._child.wire.close()

    def kill(self) -> None:
        """End the process, and what it has started."""
        self._child.signal(signal.SIGKILL)

    def _wait(self) -> bool:
        """Return whether something may have arrived; for at most a slice."""
        wire = self._child.wire
        wire.flush()
        poller = select.poll()
        poller.register(wire.fileno(), select.POLLIN | (select.POLLOUT if wire.pending else 0))
        return bool(poller.poll(_SLICE_S * 1000)) and not wire.pending

    def _look_after(self, waited_s: float) -> None:
        """End what does not answer; raise where the run is to end."""
        if self.closing:
            if waited_s >= _CLOSING_S:
                self._end(f"did not end within {_CLOSING_S:g} s")
            return
        if self._stop_request.abandoned:
            raise TuningError(f"{self._waited_for} was not waited for any longer")

        self._forkserver.check()
        self._forkserver.look_after()
        self._child.poll()
        # Of a replay only the last ask may begin after `MOST_S`, and take as long as any.
        longest_s = self._answer_s + (MOST_S if self._call == REPLAY else 0.0)
        if waited_s >= longest_s:
            self.too_slow = True
            self._end(f"took more than {self._answer_s:g} s for one answer ('{self._doing}')")
        pid = self._child.pid
        if pid is not None and self._silence.exceeded(self._child.wire.n_heard, pid):
            self._end(f"gave no sign of life for {self._silence.seconds:.0f} s")

    def _end(self, why: str) -> None:
        self.kill()
        raise ConnectionAbortedError(f"the engine process {why}, and was ended")

    @property
    def _doing(self) -> str:
        return self._call or "check the study"

    @property
    def _waited_for(self) -> str:
        if self._call:
            return f"the engine's answer to '{self._call}'"
        return "loading and checking the study"

    def _how_it_ended(self) -> str:
        exit_code = self._child.join(2.0)
        if self._child.server_gone:
            return "the engine process ended with the forkserver"
        self.exit_code = exit_code
        if self.exit_code is None:
            return "the engine process has hung up"
        if self.exit_code >= 0:
            return f"the engine process ended by itself with exit code {self.exit_code}"
        name = signal.Signals(-self.exit_code).name
        hint = "; maybe out of memory" if self.exit_code == -signal.SIGKILL else ""
        return f"the engine process was ended by {name}{hint}"
