"""Which executors there are, and what each is made from.

One `ExecutorSpec` an executor. Rows come through the entry points of the group `tuning.executors`;
ours are in `executors.catalog`, and another package adds its own in the same way:

    [project.entry-points."tuning.executors"]
    cluster = "package.module:EXECUTORS"

`open_executor` is the door for whoever has no search: range tests, benchmarks, joblib.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tuning.errors import StudyError, did_you_mean
from tuning.executors.base import Executor
from tuning.executors.devices.slot import Slot
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.placement.policy import Placement
from tuning.executors.worker import Limits
from tuning.storage.scratch import scratch_folder
from tuning.study.plugins import load_rows

GROUP = "tuning.executors"
_NO_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What a search has for its executor.

    Attributes:
        slots: Where trials shall run.
        forkserver: What workers are forked from; started or not.
        log_folder: Gets what the workers print.
        limits: When a worker is replaced.
        label: Who holds the slots, for messages to others: the study's name.
        until: On the monotonic clock, when to give up waiting for a free slot.
        notice: Called with what is waited for, in words.
        address: Of a cluster, as `--ray-address` gives it; None: not said.
        home: The state folder, of which jobs name files; None: they name none.
        sources: The studies that jobs are of: paths, or pickled ones.
        placement: Says which trial goes to which of the slots; None: any.
    """

    slots: Sequence[Slot]
    forkserver: ForkServer
    log_folder: Path
    limits: Limits
    label: str = ""
    until: float = math.inf
    notice: Callable[[str], None] | None = None
    address: str | None = None
    home: Path | None = None
    sources: Sequence[str | bytes] = ()
    placement: Placement | None = None


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec:
    """One row of the table.

    Attributes:
        name: As `--executor` takes it.
        summary: One line for people.
        make: Opens the executor, and imports its library only then; may wait for a slot.
        parse: Returns the slots that `--devices` asks for: (text, GPUs of a trial) → slots. Those
            of this box, where nothing else is said.
        package: Whose it is; filled in when it is found.
    """

    name: str
    summary: str
    make: Callable[[Workplace], Executor]
    parse: Callable[[str, int], Sequence[Slot]] = parse_devices
    package: str = ""


@cache
def executor_specs() -> Mapping[str, ExecutorSpec]:
    """Return the executors of all installed packages by name.

    Raises:
        MissingError: A package's entry point cannot be loaded, two have an executor of the same
            name, or ours is not installed.
    """
    return load_rows(GROUP, ExecutorSpec, "executor")


def executor_spec(name: str) -> ExecutorSpec:
    """Return an executor's row.

    Raises:
        StudyError: There is none of this name.
    """
    specs = executor_specs()
    if name not in specs:
        raise StudyError(
            f"executor '{name}' is unknown.{did_you_mean(name, specs)} "
            f"There are: {', '.join(sorted(specs))}",
            where="--executor",
        )
    return specs[name]


@dataclass(frozen=True)
class ExecutorChoice:
    """Which executor a command is to use.

    Attributes:
        name: As `--executor` takes it.
        address: Of its cluster, as `--ray-address` gives it; None: not said.
    """

    name: str = "local"
    address: str | None = None


LOCAL = ExecutorChoice()


@contextmanager
def open_executor(
    choice: ExecutorChoice = LOCAL,
    devices: str = "auto",
    *,
    gpus_per_trial: int = 1,
    forkserver: ForkServer | None = None,
    log_folder: Path | None = None,
    limits: Limits = _NO_LIMITS,
    label: str = "",
    notice: Callable[[str], None] | None = None,
    home: Path | None = None,
    sources: Sequence[str | bytes] = (),
) -> Iterator[Executor]:
    """Open an executor on the devices named as for `--devices`.

    Everything it needs ends with the block.

    Args:
        choice: Which.
        devices: Where its jobs run.
        gpus_per_trial: GPUs of one slot.
        forkserver: One that runs already; it is left running.
        log_folder: Default: a temporary one.
        limits: When a worker is replaced.
        label: Who holds the devices, for messages to others.
        notice: Called with what is waited for, in words.
        home, sources: As for `Workplace`.

    Raises:
        StudyError: There is no such executor, or no such device.
        TuningError: As the executor.
    """
    spec = executor_spec(choice.name)
    slots = spec.parse(devices, gpus_per_trial)
    with ExitStack() as stack:
        if forkserver is None:
            forkserver = stack.enter_context(ForkServer())
        if log_folder is None:
            log_folder = Path(stack.enter_context(scratch_folder("tuning-logs-")))
        workplace = Workplace(
            slots=slots,
            forkserver=forkserver,
            log_folder=log_folder,
            limits=limits,
            label=label,
            notice=notice,
            address=choice.address,
            home=home,
            sources=sources,
        )
        executor = spec.make(workplace)
        stack.callback(executor.close)
        yield executor
