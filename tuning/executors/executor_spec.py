"""Which executors there are, and what each is made from.

One `ExecutorSpec` an executor. Rows come through the entry points of the group `tuning.executors`;
ours are in `executors.catalog`, and another package adds its own in the same way:

    [project.entry-points."tuning.executors"]
    cluster = "package.module:EXECUTORS"
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tuning.errors import MissingError, StudyError, did_you_mean
from tuning.executors.base import Executor, Slot
from tuning.executors.forkserver import ForkServer
from tuning.executors.worker import Limits

GROUP = "tuning.executors"


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
    """

    slots: Sequence[Slot]
    forkserver: ForkServer
    log_folder: Path
    limits: Limits
    label: str = ""
    until: float = math.inf
    notice: Callable[[str], None] | None = None


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec:
    """One row of the table.

    Attributes:
        name: As `--executor` takes it.
        summary: One line for people.
        make: Opens the executor, and imports its library only then; may wait for a slot.
    """

    name: str
    summary: str
    make: Callable[[Workplace], Executor]


@cache
def executor_specs() -> Mapping[str, ExecutorSpec]:
    """Return the executors of all installed packages by name.

    Raises:
        MissingError: A package's entry point cannot be loaded, or ours is not installed.
        StudyError: Two packages have an executor of one name.
    """
    specs: dict[str, ExecutorSpec] = {}
    for entry_point in importlib.metadata.entry_points(group=GROUP):
        for spec in _load(entry_point):
            if spec.name in specs:
                raise StudyError(
                    f"two packages have an executor '{spec.name}', one of them is that of "
                    f"'{entry_point.value}'; uninstall one"
                )
            specs[spec.name] = spec
    if not specs:
        raise MissingError("the package tuning is not installed; run: pip install -e .")
    return specs


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


def _load(entry_point: importlib.metadata.EntryPoint) -> Sequence[ExecutorSpec]:
    try:
        rows = tuple(entry_point.load())
    except Exception as error:  # whatever a foreign package does at its import
        raise _unusable(entry_point, f"{type(error).__name__}: {error}") from error
    if not all(isinstance(row, ExecutorSpec) for row in rows):
        raise _unusable(entry_point, "it is no sequence of ExecutorSpec")
    return rows


def _unusable(entry_point: importlib.metadata.EntryPoint, reason: str) -> MissingError:
    package = entry_point.dist.name if entry_point.dist else entry_point.value
    return MissingError(
        f"the executors of the package '{package}' ({entry_point.value}) cannot be used: {reason}. "
        "Repair or uninstall it."
    )
