"""`ForkServer`: forks children that have TensorFlow and Keras imported already.

Not multiprocessing's: that is one per process and shared with the user's own code, imports the
user's `__main__` again, hides what fails to import, and blocks its caller while it imports.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory, TemporaryFile
from types import TracebackType
from typing import IO, Any, Self

from tuning.errors import MissingError, TuningError
from tuning.executors.child import Child
from tuning.executors.server import END, FORK
from tuning.executors.supervision.linux import children_of
from tuning.executors.supervision.parts import FORKSERVER, WORKER, backoff_s
from tuning.executors.supervision.silence import Silence
from tuning.executors.wire import Wire, wait_fd
from tuning.storage.interpreter import PYTHON, import_path
from tuning.storage.scratch import scratch_folder

PRELOAD = ("tuning.executors.preload:load",)
CANNOT_IMPORT = "the workers cannot import what trials need: "


class ForkServer:
    """Starts children quickly: each is a fork of a process that has TensorFlow imported already.

    Call `start()` early: it returns at once, while the imports take 4-13 s in the server. Server
    and children end with this process, whatever ends it.

    Args:
        preload: Modules to import, or functions to call as `module:function`; `()` starts in 0.1 s.

    Attributes:
        import_s: Seconds the imports took; None while they run.
        server_pid: Of the process that has done them; 0 while they run.
    """

    def __init__(self, preload: Sequence[str] = PRELOAD) -> None:
        self.import_s: float | None = None
        self.server_pid = 0
        self._preload = tuple(preload)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._alive_w = -1
        self._noise: IO[bytes]
        self._compiled: TemporaryDirectory[str]
        self._deaths = 0  # in a row, while it imported
        self._children: list[Child] = []
        self._silence = Silence(FORKSERVER.silence_s)
        self._lock = threading.RLock()

    def start(self) -> None:
        """Start the server unless it runs; does not wait for it."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            self._discard()
            if threading.current_thread() is threading.main_thread():
                self._launch()
            else:
                _in_lasting_thread(self._launch)

    def wait_ready(self, timeout_s: float = 120.0) -> float:
        """Wait until the imports are done; return the seconds they took.

        Raises:
            MissingError: An import failed, with its traceback.
        """
        self.start()
        until = time.monotonic() + timeout_s
        while self.import_s is None:
            news = self.check(max(0.0, until - time.monotonic()))
            if not news and time.monotonic() >= until:
                raise TuningError(f"the forkserver was not ready within {timeout_s} s")
        return self.import_s

    def check(self, timeout_s: float = 0.0) -> bool:
        """Take in how the imports went; return whether there was news of them.

        A server that was killed meanwhile is begun anew; children that it had still to fork are
        lost with it.

        Raises:
            MissingError: An import failed.
            TuningError: The server has died of its imports, or again and again; the next `start`
                or `spawn` begins a new one.
        """
        with self._lock:
            if self._control is None or self.import_s is not None:
                return False
            if not wait_fd(self._control.fileno(), timeout_s):
                return False
            outcome, _, detail = _read_words(self._control).partition(":")
            if outcome == "ready":
                seconds, _, pid = detail.partition(" ")
                self.import_s = float(seconds)
                self.server_pid = int(pid)
                self._deaths = 0
                return True

            noise = self._noise_of_imports()
            exit_code = self._discard()
            self._deaths += 1
            was_killed = not outcome and exit_code is not None and exit_code < 0
            if was_killed and self._deaths <= FORKSERVER.restarts:
                time.sleep(backoff_s(self._deaths))
                self.start()
                return True

        if outcome == "failed":
            raise MissingError(f"{CANNOT_IMPORT}{detail}")
        cause = f"the forkserver died while it imported TensorFlow (exit code {exit_code})"
        raise TuningError(f"{cause}. {noise}".strip())

    @property
    def pid(self) -> int:
        """The server's process id; its warden's where that has still to fork it; 0: neither."""
        if self._process is None:
            return 0
        # What its warden has adopted is younger.
        return min(children_of(self._process.pid), default=self._process.pid)

    def look_after(self) -> None:
        """End a server that is stopped, or blocked; call it while something of it is waited for.

        What it was asked for is its heartbeat: it forks, and tells of a child's end, within
        milliseconds. Its children end with it, and `spawn` begins a new one.
        """
        with self._lock:
            self._children = [child for child in self._children if child.sentinel >= 0]
            owed = [child for child in self._children if child.waits_for_server]
            pid = self.pid if owed else 0
            if pid == 0:
                self._silence = Silence(FORKSERVER.silence_s)
            elif self._silence.exceeded(id(owed[0]), pid):
                os.kill(pid, signal.SIGKILL)
                self._silence = Silence(FORKSERVER.silence_s)

    def spawn(
        self,
        target: str,
        args: tuple[Any, ...] = (),
        *,
        fds: Sequence[int] = (),
        name: str = WORKER.name,
    ) -> Child:
        """Fork a child that calls `target(wire, *args)`; does not wait for it.

        The child has this process' `sys.path` (the current folder last), folder and environment;
        its result is its exit code, 0 unless an int.

        Args:
            target: `"package.module:function"`.
            args: Picklable.
            fds: Descriptors the child keeps open, e.g. leases.
            name: Of the process, as `ps` shows it.

        Raises:
            MissingError: The server could not import what it was told to.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        sentinel, status_w = os.pipe()
        try:
            self._request([theirs.fileno(), status_w, *fds])
        except BaseException:
            ours.close()
            os.close(sentinel)
            raise
        finally:
            theirs.close()
            os.close(status_w)

        child = Child(Wire(ours), sentinel)
        child.wire.post((target, args, name, import_path(), os.getcwd(), dict(os.environ)))
        with self._lock:
            self._children.append(child)
        return child

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when `check` has news, or -1."""
        if self._control is None or self.import_s is not None:
            return -1
        return self._control.fileno()

    def close(self) -> None:
        """End the server and every child it has forked."""
        with self._lock:
            self._discard()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def _noise_of_imports(self) -> str:
        """Return the last of what the imports have printed."""
        if self._process is None:
            return ""
        self._noise.seek(0)
        return self._noise.read().decode(errors="replace")[-4000:]

    def _launch(self) -> None:
        """Begin a new interpreter that runs `server.main`; it inherits the three descriptors."""
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        alive_r, alive_w = os.pipe()
        # TensorFlow greets everybody on stderr, whatever its log level; shown only where the
        # imports fail.
        self._noise = TemporaryFile()  # noqa: SIM115 - lives as long as the imports
        self._compiled = scratch_folder("tuning-xla-")

        stderr = os.dup(2)
        fds = (theirs.fileno(), alive_r, stderr)
        code = (
            f"import sys; sys.path[:] = {import_path()!r}; "
            "from tuning.executors.server import main; "
            f"main({fds!r}, {os.getpid()}, {self._preload!r})"
        )
        try:
            # Its own group: a Ctrl-C at the terminal is for the driver to decide on.
            self._process = subprocess.Popen(
                [*PYTHON, "-c", code],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stderr=self._noise,
                process_group=0,
                env=self._environment(),
            )
        except BaseException:
            control.close()
            os.close(alive_w)
            raise
        finally:
            theirs.close()
            os.close(alive_r)
            os.close(stderr)

        self._control = control
        self._alive_w = alive_w
        self.import_s = None

    def _environment(self) -> dict[str, str]:
        """Let the children share what XLA compiles.

        One that finds a structure there saves half of its first epoch. TensorFlow reads the flag
        when it is imported, and puts a file there whole, or not at all.
        """
        before = os.environ.get("TF_XLA_FLAGS", "")
        cache = f"--tf_xla_persistent_cache_directory={self._compiled.name}"
        return {**os.environ, "TF_XLA_FLAGS": f"{before} {cache}".strip()}

    def _request(self, fds: list[int]) -> None:
        """Ask for a fork; once more where the server turns out to be dead."""
        for last_try in (False, True):
            self.start()
            with self._lock:
                control = self._control
                if control is None:
                    continue
                try:
                    socket.send_fds(control, [FORK], fds)
                    return
                except (BrokenPipeError, ConnectionResetError):
                    self.check(1.0)  # raises where it died of an import
                    if self._control is control:  # else a new one is begun already
                        self._discard()
            if last_try:
                raise TuningError("the forkserver died twice; is there enough memory?")

    def _discard(self) -> int | None:
        """Let go of the server; return its exit code."""
        if self._control is not None:
            self._control.close()
            os.close(self._alive_w)
            self._noise.close()
        grace_s = 2.0  # its warden gives it 0.2 s, and ends what it leaves behind
        process = self._process
        self._process = None
        self._control = None
        self.import_s = None
        if process is None:
            return None

        try:
            exit_code = process.wait(grace_s)
        except subprocess.TimeoutExpired:  # in the middle of its imports
            process.kill()
            exit_code = process.wait()
        self._compiled.cleanup()
        return exit_code


def _read_words(control: socket.socket) -> str:
    """Return what the server says, `""` where it has died."""
    data = b""
    while not data.endswith(END):
        try:
            more = control.recv(1 << 16)
        except ConnectionResetError:  # it died with requests unread
            more = b""
        if not more:
            return ""
        data += more

    return data[: -len(END)].decode(errors="replace")


def _in_lasting_thread(work: Callable[[], None]) -> None:
    """Run `work` in a thread that never ends.

    The kernel's parent-death signal goes by the thread that forked, not by its process.
    """
    done = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # raised in the caller's thread
            errors.append(error)
        done.set()
        if not errors:
            threading.Event().wait()

    threading.Thread(target=run, name="forkserver-parent", daemon=True).start()
    done.wait()
    if errors:
        raise errors[0]
