"""The forkserver's own process: imports once, then forks a child for each request.

The driver's side is `forkserver`, and `child` for one child. What passes between them:

    server: "ready:<seconds> <its pid>\\0" or "failed:<reason>\\0"   once, after the imports
    driver: one byte, with the child's descriptors           a request to fork
    driver: another byte, with the end of a connection       serve that one as this one
    server: the child's pid, later its exit code             on that child's status pipe
    driver: (target, args, name, sys.path, folder, environment)   on the child's own wire
    child:  a heartbeat each second                          on the same wire
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress

from tuning.executors.supervision.control_group import ControlGroup, remove_left_groups
from tuning.executors.supervision.linux import (
    adopt_orphans,
    die_with,
    end_first_without_memory,
    end_orphans,
    name_process,
)
from tuning.executors.supervision.parts import BEAT_S, FORKSERVER, WORKER
from tuning.executors.supervision.warden import under_warden
from tuning.executors.wire import Wire, wait_fd
from tuning.storage.secrets import print_without_secrets

NUMBER = struct.Struct("q")
END = b"\0"
FORK = b"f"
SERVE = b"c"
# A worker goes first, then what is begun anew; the driver, which nobody begins anew, comes last.
_WORKER_SCORE = 500
_SERVER_SCORE = 200


def main(fds: tuple[int, int, int], driver: int, preload: Sequence[str]) -> None:
    """Import `preload`, then serve fork requests until the driver hangs up or dies.

    Args:
        fds: A stream socket (a request is one byte, with the child's wire, its status pipe and
            leases), a pipe whose other end only the driver holds, and the stderr to use after the
            imports.
        driver: The driver's process id.
        preload: Modules to import, or functions to call, as `module:function`.
    """
    control_fd, alive_fd, stderr = fds
    under_warden(driver, alive_fd, foreign=(control_fd, stderr))
    name_process(FORKSERVER.name)
    end_first_without_memory(_SERVER_SCORE)
    adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)  # what a trial writes is this user's alone
    control = socket.socket(fileno=control_fd)
    started = time.monotonic()

    # The collector would look through all that TensorFlow's import makes, again and again: 0.7 s
    # of 6.
    gc.disable()
    try:
        for name in preload:
            _preload(name)
    except BaseException as error:  # told to the driver, which raises it
        _say(control, f"failed:{type(error).__name__}: {error}\n{traceback.format_exc()}")
        sys.exit(1)

    os.dup2(stderr, 2)
    os.dup2(stderr, 1)  # stdout is the driver's alone
    os.close(stderr)
    gc.freeze()  # keeps the collector from touching, and so copying, the shared pages
    gc.enable()
    _Server(control, alive_fd, f"ready:{time.monotonic() - started:.3f} {os.getpid()}").run()


def _preload(name: str) -> None:
    if ":" in name:
        pkgutil.resolve_name(name)()
    else:
        importlib.import_module(name)


class _Server:
    """The loop that forks and reaps.

    Args:
        control: The driver's connection; all ends with it. With another one that it hands over, as
            the slots of a node do, only the children end that were asked for over that one.
        alive_fd: A pipe whose other end only the driver holds.
        ready: What each connection is told first.
    """

    def __init__(self, control: socket.socket, alive_fd: int, ready: str) -> None:
        self._controls = {control.fileno(): control}
        self._first = control.fileno()
        self._askers: dict[int, int] = {}  # pid -> the connection over which it was asked for
        self._ready = ready
        self._alive_fd = alive_fd
        self._children: dict[int, int] = {}  # pid -> write end of its status pipe
        self._groups: dict[int, ControlGroup] = {}  # of the children, by pid
        self._left_groups: list[ControlGroup] = []  # of the dead, until they are empty
        self._n_forks = 0
        # A child's end interrupts nothing; SIGCHLD writes a byte here, which wakes `select`.
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        os.set_blocking(self._wake_w, False)

    def run(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        remove_left_groups()
        _say(self._controls[self._first], self._ready)

        while self._first in self._controls:
            ready, _, _ = select.select([*self._controls, self._wake_r], [], [])
            if self._wake_r in ready:
                os.read(self._wake_r, 4096)
                self._reap()
            for control in ready:
                if control in self._controls:
                    self._serve(control)

    def _serve(self, control: int) -> None:
        """Do what is asked for over a connection; end its children where it has closed."""
        try:
            request, fds, _, _ = socket.recv_fds(self._controls[control], 1, 128)
        except ConnectionResetError:  # without having read what we said
            request, fds = b"", []
        if request == FORK:
            self._fork(control, fds)
        elif request == SERVE:
            other = socket.socket(fileno=fds[0])
            self._controls[other.fileno()] = other
            _say(other, self._ready)
        else:
            self._controls.pop(control).close()
            for pid in self._children:
                if control in (self._askers[pid], self._first):
                    self._kill_all_of(pid)

    def _fork(self, control: int, fds: list[int]) -> None:
        wire_fd, status_fd, *leases = fds
        for fd in fds:
            os.set_inheritable(fd, False)

        server_pid = os.getpid()
        self._n_forks += 1
        group = ControlGroup.make(self._n_forks)
        try:
            pid = os.fork()
        except OSError:  # told by a status pipe that closes without a process id
            traceback.print_exc()
            os.close(status_fd)
            if group is not None:
                group.remove()
        else:
            if pid == 0:
                if group is not None:
                    group.enter()  # before anything that it starts
                self._become_child(server_pid, wire_fd, status_fd, leases)
            self._children[pid] = status_fd
            self._askers[pid] = control
            if group is not None:
                self._groups[pid] = group
            _write(status_fd, pid)

        # The child has its own; a copy here would keep a lease after the child's end.
        for fd in (wire_fd, *leases):
            os.close(fd)

    def _become_child(
        self, server_pid: int, wire_fd: int, status_fd: int, leases: Sequence[int]
    ) -> None:
        code = 1
        try:
            die_with(server_pid)
            os.setpgid(0, 0)  # its own group, so that what it starts ends with it
            adopt_orphans()  # what leaves that group is the server's when this process ends
            _keep_from_forks(leases)
            self._let_go_of_the_servers(status_fd)
            wire = Wire.from_fd(wire_fd)
            threading.Thread(target=_live, args=(self._alive_fd, wire), daemon=True).start()
            code = _run(wire)
        except BaseException:  # a child never returns into the server's loop
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _let_go_of_the_servers(self, status_fd: int) -> None:
        """Close the descriptors and end the signal handling that only the server is to have."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

        controls = [control.detach() for control in self._controls.values()]
        own = (*controls, self._wake_r, self._wake_w, status_fd)
        for fd in (*own, *self._children.values()):
            os.close(fd)

    def _reap(self) -> None:
        while self._children:
            if hasattr(os, "waitid"):  # macOS has it from Python 3.13
                # Not reaped yet, a dead child keeps its id, so the group killed is surely its own.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is not None:
                    self._kill_all_of(ended.si_pid)

            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            status_fd = self._children.pop(pid, None)
            if status_fd is None:  # an orphan that had been a worker's
                continue
            del self._askers[pid]
            end_orphans(self._children)  # before the driver hears that the slot is free
            self._remove_group(pid)
            # Who ends with the driver has no end of its own to tell; another may still listen.
            if not wait_fd(self._alive_fd, 0.0):
                _write(status_fd, os.waitstatus_to_exitcode(status))
            os.close(status_fd)

    def _kill_all_of(self, pid: int) -> None:
        """End what a child has started: in its control group, else in its process group."""
        _kill_child(pid)
        group = self._groups.get(pid)
        if group is not None:
            group.kill()

    def _remove_group(self, pid: int) -> None:
        """Remove the group of a child that has ended, and those that were not empty before."""
        group = self._groups.pop(pid, None)
        if group is not None:
            self._left_groups.append(group)
        self._left_groups = [group for group in self._left_groups if not group.remove()]


def _run(wire: Wire) -> int:
    """Take over the driver's paths and environment, then call what it asks for."""
    target, args, name, sys_path, folder, environment = wire.recv()
    name_process(name)
    if name == WORKER.name:
        end_first_without_memory(_WORKER_SCORE)
    sys.path[:] = sys_path
    os.chdir(folder)
    os.environ.update(environment)
    print_without_secrets()
    code = pkgutil.resolve_name(target)(wire, *args)
    return code if isinstance(code, int) else 0


def _live(alive_fd: int, wire: Wire) -> None:
    """Beat while the driver lives, and end with it, also where there is no prctl.

    The driver alone holds the pipe open.
    """
    while not wait_fd(alive_fd, BEAT_S):
        with suppress(OSError):  # the wire was closed
            wire.beat()
    os._exit(1)


def _keep_from_forks(leases: Sequence[int]) -> None:
    """Close the leases in whatever this process forks: a lock belongs to all copies alike."""
    files = {fd: os.fstat(fd) for fd in leases}

    def close() -> None:
        for fd, file in files.items():
            # A user's code may have closed all descriptors, and taken the number for its own.
            with suppress(OSError):
                if os.path.samestat(os.fstat(fd), file):
                    os.close(fd)

    os.register_at_fork(after_in_child=close)


def _say(control: socket.socket, words: str) -> None:
    with suppress(BrokenPipeError):  # the driver has gone
        control.sendall(words.encode() + END)


def _kill_child(pid: int) -> None:
    # At its very start it has no group of its own yet. Not reaped, it keeps its id.
    for send in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            send(pid, signal.SIGKILL)


def _write(fd: int, number: int) -> None:
    with suppress(BrokenPipeError):  # the driver has given up this child
        os.write(fd, NUMBER.pack(number))
