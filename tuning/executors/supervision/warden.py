"""The warden: the forkserver's parent, which leaves nothing alive behind it.

What a worker has started may leave its group and its session, and then outlive worker, forkserver
and driver, with the lease of a device in its hands. Linux gives such an orphan to the nearest
ancestor that asks for orphans: the worker itself, then the forkserver, at last this process. It is
small, imports nothing, and does nothing but wait for the end of the driver or of the forkserver.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from typing import NoReturn

from tuning.executors.supervision.control_group import groups_of
from tuning.executors.supervision.linux import (
    adopt_orphans,
    die_with,
    end_orphans,
    name_process,
)
from tuning.executors.supervision.parts import WARDEN

_GRACE_S = 0.2
"""For a forkserver to end by itself once the driver has hung up; then its exit code is its own."""


def under_warden(driver: int, alive_fd: int, foreign: Sequence[int]) -> None:
    """Fork: returns in the child; the parent becomes its warden and never returns.

    Args:
        driver: The driver's process id, this one's parent.
        alive_fd: A pipe whose other end only the driver holds.
        foreign: Descriptors that are the child's alone.
    """
    adopt_orphans()
    # Before the fork: a child that ends at once is to be heard of.
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_r, False)
    os.set_blocking(wake_w, False)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    warden = os.getpid()
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(wake_r)
        os.close(wake_w)
        die_with(warden)
        return

    for fd in foreign:
        os.close(fd)
    _watch(driver, child, alive_fd, wake_r)


def _watch(driver: int, child: int, alive_fd: int, wake_r: int) -> NoReturn:
    name_process(WARDEN.name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The death signal; one that a batch system sends to all of a job is for the driver to decide
    # on.
    signal.signal(signal.SIGTERM, lambda *_: None)
    die_with(driver, signal.SIGTERM)

    status = None
    while status is None:
        ready, _, _ = select.select([alive_fd, wake_r], [], [])
        if wake_r in ready:
            os.read(wake_r, 4096)
        status = _ended(child)
        if alive_fd in ready or os.getppid() != driver:
            status = _wait(child)
            break

    groups = groups_of(child)
    for group in groups:
        group.kill()
    end_orphans(known=(), limit_s=5.0)
    for group in groups:
        group.remove()
    _end_like(status)


def _wait(child: int) -> int | None:
    """Wait a moment for the forkserver's own end; None where it has not come."""
    until = time.monotonic() + _GRACE_S
    while (status := _ended(child)) is None and time.monotonic() < until:
        time.sleep(0.005)
    return status


def _ended(child: int) -> int | None:
    """Reap what has ended; return the child's status where it is among that."""
    status = None
    while True:
        try:
            pid, each = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = each


def _end_like(status: int | None) -> NoReturn:
    """End as the forkserver has ended, which is what the driver sees."""
    code = -signal.SIGKILL if status is None else os.waitstatus_to_exitcode(status)
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(max(code, 0))
