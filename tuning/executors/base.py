"""What every executor does: run jobs on slots, pass on their epochs, tell how they ended."""

from __future__ import annotations

import pickle
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Self, TypeAlias

from tuning.executors.devices.slot import Slot
from tuning.executors.placement.work import Work
from tuning.trial import Answer, Context, EpochReport

Leaving: TypeAlias = Literal["soon", "epoch", "end"]
"""When a job leaves a slot that is given up."""


@dataclass(frozen=True)
class Job:
    """One call to make in a worker: `function(*args, context)`.

    Attributes:
        id: Unique within the executor.
        function: `"package.module:name"`, imported by the worker.
        args: Picklable where the executor has processes; empty while the job travels.
        wants_answer: Each epoch report waits for `answer`; else training goes on at once.
        alone: Nothing else of this executor runs beside it.
        leaves: A slot that is given up: "soon", at its next report, which is waited for so long;
            "epoch", at its next report whenever that comes; "end", when it has ended.
        timeout_s, no_progress_timeout_s: Limits on the monotonic clock; then TERM, 2 s later KILL.
        work: What its cost is predicted from; None: nothing is known of it.
        pickled_args: The arguments of a job that travels, see `packed`.
    """

    id: str
    function: str
    args: tuple[Any, ...] = ()
    wants_answer: bool = False
    alone: bool = False
    leaves: Leaving = "soon"
    timeout_s: float | None = None
    no_progress_timeout_s: float | None = None
    work: Work | None = None
    pickled_args: bytes | None = field(default=None, repr=False)

    def packed(self) -> Self:
        """Return the job as it travels to a process.

        Its arguments are pickled here, so one that cannot be is an error of whoever submits it, and
        loaded by `call` alone, so one that cannot be loaded fails this job and not its worker.
        A job that is packed already stays as it is.
        """
        if self.pickled_args is not None:
            return self
        pickled = pickle.dumps(self.args, protocol=pickle.HIGHEST_PROTOCOL)
        return replace(self, args=(), pickled_args=pickled)

    def call(self, context: Context) -> Any:
        """Make the call; return or raise what the function does."""
        args = self.args
        if self.pickled_args is not None:
            args = pickle.loads(self.pickled_args)  # noqa: S301 - from our own driver
        return pkgutil.resolve_name(self.function)(*args, context)


@dataclass(frozen=True)
class Started:
    """A worker has begun a job."""

    job: str
    slot: str
    pid: int


@dataclass(frozen=True)
class Reported:
    """An epoch has ended; answer it where the job wants one."""

    job: str
    report: EpochReport


@dataclass(frozen=True)
class Finished:
    """The job's function returned `value`."""

    job: str
    value: Any


@dataclass(frozen=True)
class Raised:
    """The job's function raised; the worker lives on."""

    job: str
    error: str
    traceback: str
    exit_code: int | None = None  # of a TuningError: ends the whole run


Cause: TypeAlias = Literal[
    "crashed", "killed", "timeout", "no_progress", "cancelled", "lost", "moved", "host_oom"
]


@dataclass(frozen=True)
class Died:
    """The worker is gone; the executor has already begun to replace it.

    Attributes:
        cause: "lost" is no fault of the job: something that the worker needs has ended, and the
            worker with it. "moved" neither: its slot was given up, and it goes on elsewhere.
            "killed" also where it did not answer any more. "host_oom": memory ran out, or the
            slot's share of it.
    """

    job: str
    cause: Cause
    detail: str


Event: TypeAlias = Started | Reported | Finished | Raised | Died


class Executor(Protocol):
    """Where trials run.

    Contract: each submitted job ends in exactly one of Finished, Raised, Died.
    """

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots worked on; on a box that is shared each trial waits for its turn there."""

    @property
    def leaving(self) -> tuple[Slot, ...]:
        """The slots that are being given up: what runs there has not ended yet."""

    @property
    def room(self) -> int:
        """How many more jobs may be submitted so that each slot has one running and one waiting."""

    def submit(self, job: Job) -> None:
        """Queue a job; it starts when a slot is free."""

    def events(self, timeout_s: float) -> list[Event]:
        """Wait at most `timeout_s` for something to happen; return all that has, in order."""

    def answer(self, job: str, answer: Answer) -> None:
        """Answer the last report of a job."""

    def cancel(self, job: str) -> None:
        """Stop a job at once, by ending its worker; a waiting job is dropped.

        It ends in Died("cancelled").
        """

    def resize(self, slots: Sequence[Slot]) -> None:
        """Work on these slots from now on; without any, wait until there are some again.

        A slot that goes is given up when its job has ended, or has been stopped at its next report;
        that job then ends in Died("moved"), and whoever submitted it does so again.

        Raises:
            StudyError: This executor cannot.
        """

    def close(self) -> None:
        """End all workers and give the leases back; called once, also after an error."""
