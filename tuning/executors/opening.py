"""`open_local`: a local executor in one line, with everything it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tuning.executors.devices import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import LocalExecutor
from tuning.storage.scratch import scratch_folder


@contextmanager
def open_local(
    devices: str = "auto",
    *,
    gpus_per_trial: int = 1,
    forkserver: ForkServer | None = None,
    log_folder: Path | None = None,
    label: str = "",
    notice: Callable[[str], None] | None = None,
) -> Iterator[LocalExecutor]:
    """Open a `LocalExecutor` on the devices named as for `--devices`.

    Everything it needs ends with the block.

    Args:
        forkserver: One that runs already; it is left running.
        log_folder: Default: a temporary one.
        notice: Called once with what is waited for, in words.
    """
    slots = parse_devices(devices, gpus_per_trial)
    with ExitStack() as stack:
        if forkserver is None:
            forkserver = stack.enter_context(ForkServer())
        if log_folder is None:
            log_folder = Path(stack.enter_context(scratch_folder("tuning-logs-")))
        executor = LocalExecutor(
            slots, forkserver=forkserver, log_folder=log_folder, label=label, notice=notice
        )
        yield stack.enter_context(executor)
