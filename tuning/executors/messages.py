"""What the driver and a worker say to each other over their wire.

    worker: Hello                          once, when it is bound to its slot
    driver: Work(job)                      at most two at a time: one runs, one waits
    worker:     Begun(job)
    worker:     Epoch(job, report)         after each epoch
    driver:     Reply(job, answer)         to an epoch of a job that wants answers; STOP to any job
    worker:     Returned or Failed         the end of a job
    driver: Drop(job)                      asks for a waiting job back
    worker: Dropped(job)                   unless it has begun; then its Begun is under way

Either side may hang up at any moment: the driver's end ends the worker, and a worker's end is seen
at its sentinel (`child`).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from tuning.executors.base import Job
from tuning.trial import Answer, EpochReport


class Work(NamedTuple):
    """Driver: run this job when those before it have ended."""

    job: Job


class Drop(NamedTuple):
    """Driver: give a waiting job back."""

    job: str


class Reply(NamedTuple):
    """Driver: the answer to the last epoch of a job."""

    job: str
    answer: Answer


class Hello(NamedTuple):
    """Worker: it has begun to serve."""


class Begun(NamedTuple):
    """Worker: a job runs from now on."""

    job: str


class Epoch(NamedTuple):
    """Worker: an epoch has ended."""

    job: str
    report: EpochReport


class Dropped(NamedTuple):
    """Worker: a waiting job will not run here."""

    job: str


class Returned(NamedTuple):
    """Worker: the job's function returned; its value stays pickled until the driver needs it."""

    job: str
    pickled_value: bytes


class Failed(NamedTuple):
    """Worker: the job's function raised; `exit_code` is that of a `TuningError`."""

    job: str
    error: str
    traceback: str
    exit_code: int | None


ToWorker: TypeAlias = Work | Drop | Reply
ToDriver: TypeAlias = Hello | Begun | Epoch | Dropped | Returned | Failed
