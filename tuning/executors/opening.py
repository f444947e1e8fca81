"""`open_local`: a local executor in one line, with everything it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tuning.executors.devices import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.leases import Leases
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
    """Give a `LocalExecutor` on the devices named as for `--devices`; everything it needs ends with
    the block.

    Args:
        forkserver: One that runs already; it is left running.
        log_folder: Default: a temporary one.
        notice: Told once, in words, what is waited for.
    """
    slots = parse_devices(devices, gpus_per_trial)
    with ExitStack() as stack:
        server = forkserver or stack.enter_context(ForkServer())
        leases = Leases()
        stack.callback(leases.close)
        folder = log_folder or Path(stack.enter_context(scratch_folder("tuning-logs-")))
        yield stack.enter_context(
            LocalExecutor(
                slots,
                forkserver=server,
                leases=leases,
                log_folder=folder,
                label=label,
                notice=notice,
            )
        )
