"""`at_once`: one measurement in several fresh workers that begin it at the same moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tuning.errors import BusyError, TuningError
from tuning.executors.base import Died, Event, Finished, Job, Raised, Reported
from tuning.executors.devices.leases import Leases
from tuning.executors.devices.slot import Slot
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import LocalExecutor
from tuning.trial import Answer, Context, EpochReport


def core_slots() -> list[Slot]:
    """Return one slot a core, with one thread each: how trials run here."""
    return parse_devices("cpu")


def whole_machine() -> list[Slot]:
    """Return one slot that has all cores and TensorFlow's own threads; it leases every core."""
    slots = parse_devices("cpu")
    return [replace(slots[0], name="+".join(slot.name for slot in slots), cores=(), threads=0)]


@contextmanager
def running(forkserver: ForkServer | None) -> Iterator[ForkServer]:
    """Give the forkserver, which is left running, or one of our own."""
    if forkserver is not None:
        yield forkserver
        return
    with ForkServer() as own:
        yield own


def at_once(forkserver: ForkServer, slots: Sequence[Slot], function: str, *args: Any) -> list[Any]:
    """Return what `function(*args, context)` gave on each slot.

    The function must call `begin_together(context)` once.

    Raises:
        BusyError: Somebody else holds a core, so nothing measured now would mean anything.
        TuningError: A worker failed.
    """
    with TemporaryDirectory(prefix="tuning-perf-") as folder:
        leases = Leases()
        try:
            with LocalExecutor(
                slots,
                forkserver=forkserver,
                leases=leases,
                log_folder=Path(folder),
                label="make perf",
                until=0.0,
            ) as executor:
                if len(executor.slots) < len(slots):
                    raise BusyError("another search holds a core; the benchmark needs them all")

                for number in range(len(slots)):
                    executor.submit(Job(f"{number}", function, args, wants_answer=True))
                return _collect(executor, len(slots))
        finally:
            leases.close()


def begin_together(context: Context) -> None:
    """Wait, in a worker, until all the others have come here too."""
    context.report(EpochReport(0, 0, 0.0, {}, 0.0))


def _collect(executor: LocalExecutor, jobs: int) -> list[Any]:
    ready: list[str] = []
    values: dict[str, Any] = {}
    while len(values) < jobs:
        for event in executor.events(1.0):
            if isinstance(event, Reported):  # it waits in `begin_together`
                ready.append(event.job)
                if len(ready) == jobs:
                    for job in ready:
                        executor.answer(job, Answer.CONTINUE)
            elif isinstance(event, Finished):
                values[event.job] = event.value
            else:
                _raise(event)
    return [values[job] for job in sorted(values)]


def _raise(event: Event) -> None:
    if isinstance(event, Raised):
        raise TuningError(f"a measurement failed: {event.error}\n{event.traceback}")
    if isinstance(event, Died):
        raise TuningError(f"a measurement's worker {event.cause}: {event.detail}")
