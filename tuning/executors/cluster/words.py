"""What driver, link and the slots of a Ray cluster say to each other.

The driver holds no connection to Ray: where the head is lost, Ray ends the process that has one. So
a process of its own, the *link*, has it, and the driver speaks to the link over a wire:

    link:   Connected(…)                    once; or Refused(error), and it ends
    link:   News(number, payload)           what a slot tells, a pickled list; first: Serving(…)
    driver: ToSlot(number, message)         passed on to it
    link:   SlotGone(number, …)             whatever was there is lost
    link:   Share(n_slots)                  others want slots too: use so many at most
    link:   Notice(text)                    for the user
    driver: Want(n_slots)                   so many slots from now on
    driver: Release(number)                 a slot that has been left ends
    driver: Keep(name, data)                for all slots: what jobs are going to name

A slot is one Ray actor. It runs one job, and has one waiting so that no round trip is lost:

    driver: Give(job)                       a pickled `Job`; runs when the one before has ended
    driver: Recall(job)                     asks for a waiting job back
    slot:       Dropped(job)                unless it has begun
    driver: Reply(job, answer)              to an epoch; STOP to any job
    driver: Cancel(job)                     ends it at once, running or waiting
    driver: Leave()                         the slot is given up: what runs stops at its report
    slot:       Started, Reported, Finished, Raised, Died as an `Executor` tells them
    slot:       Changes(job, …)             files that the job has written, before its end is told

The value of a `Finished` stays pickled until the driver has it.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from tuning.errors import TuningError
from tuning.executors.base import Event
from tuning.executors.cluster.travel import Changes, Luggage
from tuning.executors.devices.slot import Slot
from tuning.trial import Answer

# --- driver to slot ---


class Give(NamedTuple):
    """Driver: run this job when the one before has ended.

    Attributes:
        job: Its id.
        pickled: The `Job`.
        luggage: What travels with it.
    """

    job: str
    pickled: bytes
    luggage: Luggage = Luggage()


class Recall(NamedTuple):
    """Driver: give a waiting job back."""

    job: str


class Reply(NamedTuple):
    """Driver: the answer to the last epoch of a job."""

    job: str
    answer: Answer


class Cancel(NamedTuple):
    """Driver: end a job at once; nothing is told of one that waits."""

    job: str


class Leave(NamedTuple):
    """Driver: the slot is given up; what runs stops at its next report, and is moved elsewhere."""


class Hold(NamedTuple):
    """Link: large things that jobs to come name.

    Attributes:
        names: Of each.
        data: Put in by the slot: Ray brings them beside the message, once a node.
    """

    names: tuple[str, ...]
    data: tuple[bytes, ...] = ()


ToActor: TypeAlias = Give | Recall | Reply | Cancel | Leave | Hold

# --- slot to driver ---


class Serving(NamedTuple):
    """Slot: it has its device, and takes jobs.

    Attributes:
        slot: Its device, with a name that no other slot of the cluster has.
        node: The node's address.
        pid: Of the actor on its node.
    """

    slot: Slot
    node: str
    pid: int


class Dropped(NamedTuple):
    """Slot: a waiting job will not run here."""

    job: str


class Unable(NamedTuple):
    """Slot: it cannot serve, and no other will: the error ends the run."""

    error: TuningError


class Waits(NamedTuple):
    """Slot: what it waits for before it serves, in words."""

    text: str


FromActor: TypeAlias = Event | Changes | Serving | Dropped | Unable | Waits

# --- driver to link ---


class ToSlot(NamedTuple):
    """Driver: pass this on to a slot."""

    number: int
    message: ToActor


class Want(NamedTuple):
    """Driver: have so many slots; None: all that there are."""

    n_slots: int | None


class Release(NamedTuple):
    """Driver: nothing runs on this slot any more; end it."""

    number: int


class Keep(NamedTuple):
    """Driver: a large thing that never changes, which jobs are going to name."""

    name: str
    data: bytes


ToLink: TypeAlias = ToSlot | Want | Release | Keep

# --- link to driver ---


class Connected(NamedTuple):
    """Link: it is connected.

    Attributes:
        seconds: That this took.
        started: A Ray of our own was started.
        nodes: Nodes of the cluster.
    """

    seconds: float
    started: bool
    nodes: int


class News(NamedTuple):
    """Link: what a slot has told: a pickled list of `FromActor`."""

    number: int
    payload: bytes


class SlotGone(NamedTuple):
    """Link: a slot is lost, or was given up; why, in words.

    Attributes:
        number: As it was called.
        detail: Why, in words.
        out_of_memory: Ray ended it because the memory of its node ran out.
    """

    number: int
    detail: str
    out_of_memory: bool = False


class Share(NamedTuple):
    """Link: use so many slots at most, as other searches want some; None: as many as there are.

    One that is too many goes when its job has ended.
    """

    n_slots: int | None


class Notice(NamedTuple):
    """Link: for the user."""

    text: str


class Refused(NamedTuple):
    """Link: it has to end, and the run with it."""

    error: TuningError


ToDriver: TypeAlias = Connected | News | SlotGone | Share | Notice | Refused
