"""`RayExecutor`: one slot for each actor of a Ray cluster; the connection is the link's."""

from __future__ import annotations

import math
import pickle
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tuning.errors import BusyError, LostError, TuningError
from tuning.executors.base import Died, Event, Finished, Job, Raised, Reported, Started
from tuning.executors.cluster.link import LinkSettings
from tuning.executors.cluster.travel import Changes, Parcel, Sender
from tuning.executors.cluster.wishes import demand_of
from tuning.executors.cluster.words import (
    Cancel,
    Connected,
    Dropped,
    FromActor,
    Give,
    Keep,
    Leave,
    News,
    Notice,
    Recall,
    Refused,
    Release,
    Reply,
    Serving,
    Share,
    SlotGone,
    ToActor,
    ToDriver,
    ToSlot,
    Unable,
    Waits,
    Want,
)
from tuning.executors.devices.slot import Slot
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import finished
from tuning.executors.local_worker import QueuedJob
from tuning.executors.placement.in_order import InOrder
from tuning.executors.supervision.logs import last_lines
from tuning.executors.supervision.parts import LINK
from tuning.executors.supervision.silence import Silence
from tuning.trial import Answer

_LOOK_S = 0.5  # between looks whether the link lives
_CLOSE_S = 8.0  # for the link to end all slots; a Ray of our own takes the longest


@dataclass(eq=False)
class _Travelling(QueuedJob):
    """A job with what it takes along."""

    parcel: Parcel = field(kw_only=True)


@dataclass(kw_only=True)
class _Place:
    """A slot of the cluster and its jobs: the first runs or is about to, a second may wait."""

    number: int
    slot: Slot
    node: str
    jobs: deque[_Travelling] = field(default_factory=deque)
    is_left: bool = False

    @property
    def takes_jobs(self) -> bool:
        """Whether it may be given any: it is not given up."""
        return not self.is_left

    def find(self, job: str) -> _Travelling | None:
        for queued in self.jobs:
            if queued.job.id == job:
                return queued
        return None


class RayExecutor:
    """Runs jobs on the slots of a Ray cluster.

    Single-threaded: all of it happens inside `events`. Slots come and go as the cluster grows and
    shrinks: a job whose slot is lost ends in Died("lost"), and one that only waited there goes to
    another. What a lost slot may still say is not listened to.

    Args:
        settings: Of the link.
        until: On the monotonic clock, when to give up waiting for a first slot.
        notice: Called with what is waited for, and what has come, in words.
        sender: Packs jobs, and writes their files; None: they name none.

    Raises:
        BusyError: No Ray answers, or it gave no slot until then.
        MissingError: Ray is not installed.
        StudyError: The cluster refuses our token, or what the nodes have does not fit.
    """

    def __init__(
        self,
        settings: LinkSettings,
        *,
        until: float,
        notice: Callable[[str], None] | None = None,
        sender: Sender | None = None,
    ) -> None:
        self._notice = notice or (lambda text: None)
        self._log = settings.log
        self._connected = False
        self._places: dict[int, _Place] = {}
        self._wanted = settings.demand.count
        self._most: int | None = None  # as other searches want slots, too
        self._waiting: deque[_Travelling] = deque()
        self._in_order = InOrder(give=self._give, recall=self._recall)
        self._sender = sender or Sender(None)
        self._kept: set[str] = set()  # names of large things that the link has
        self._happened: list[Event] = []
        self._error: TuningError | None = None
        self._look_at = 0.0
        self._silence = Silence(LINK.silence_s)
        # Nothing is imported there before the fork, and what Ray starts ends with it.
        self._forkserver = ForkServer(())
        try:
            target = "tuning.executors.cluster.link:main"
            self._link = self._forkserver.spawn(target, (settings,), name=LINK.name)
            self._wait_for_first(until)
        except BaseException:  # KeyboardInterrupt too: nothing may keep a slot
            self.close()
            raise

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots worked on now."""
        return tuple(place.slot for place in self._used())

    @property
    def leaving(self) -> tuple[Slot, ...]:
        """The slots that are being given up: what runs there has not ended yet."""
        return tuple(place.slot for place in self._places.values() if place.is_left)

    @property
    def room(self) -> int:
        """How many more jobs may be submitted so that each slot has one running and one waiting."""
        jobs = len(self._waiting) + sum(len(place.jobs) for place in self._places.values())
        return max(0, 2 * max(1, len(self._used())) - jobs)

    def submit(self, job: Job) -> None:
        """Queue a job; it starts when a slot is free."""
        parcel = self._sender.pack(job)
        self._waiting.append(_Travelling(parcel.job, parcel=parcel))
        self._feed()

    def events(self, timeout_s: float) -> list[Event]:
        """Wait at most `timeout_s` for something to happen; return all that has, in order.

        Raises:
            LostError: The link is gone, or Ray's head.
            TuningError: No slot can serve; says why.
        """
        until = time.monotonic() + timeout_s
        while True:
            self._feed()
            if self._happened:
                timeout_s = 0.0
            self._listen(min(timeout_s, max(0.0, self._look_at - time.monotonic())))
            self._feed()

            timeout_s = until - time.monotonic()
            if self._happened or self._error or timeout_s <= 0:
                break
        # What had happened before is not lost with the link.
        if self._error is not None and not self._happened:
            raise self._error
        happened = self._happened
        self._happened = []
        return happened

    def answer(self, job: str, answer: Answer) -> None:
        """Answer the last report of a job; nothing where it has ended meanwhile."""
        for place in self._places.values():
            queued = place.find(job)
            if queued is not None and queued.started:
                self._say(place, Reply(job, answer))

    def cancel(self, job: str) -> None:
        """Stop a job at once, by ending its worker; a waiting job is dropped.

        It ends in Died("cancelled").
        """
        died = Died(job, "cancelled", "cancelled")
        for queued in [each for each in self._waiting if each.job.id == job]:
            self._waiting.remove(queued)
            self._happened.append(died)

        for place in self._places.values():
            at_place = place.find(job)
            if at_place is None:
                continue
            self._say(place, Cancel(job))
            if not at_place.started:
                place.jobs.remove(at_place)
                self._happened.append(died)
        for place in list(self._places.values()):
            self._release_empty(place)

    def resize(self, slots: Sequence[Slot]) -> None:
        """Work on so many slots from now on; without any, wait until there are some again.

        The idle ones go first, then the youngest. One that goes is given up when its job has ended,
        or has been stopped at its next report; that job then ends in Died("moved").

        Raises:
            StudyError: They are devices of this box.
        """
        self._wanted = demand_of(slots).count if slots else 0
        self._link.wire.post(Want(self._wanted))
        self._leave_surplus()

    def close(self) -> None:
        """End all slots and the link; jobs that have not ended are forgotten."""
        self._places = {}
        if hasattr(self, "_link"):
            self._link.wire.close()
            if self._link.join(_CLOSE_S) is None:
                self._link.signal(signal.SIGKILL)
            self._link.close()
        self._forkserver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    # --- slots that are given up ---

    def _used(self) -> list[_Place]:
        return [place for place in self._places.values() if not place.is_left]

    def _leave_surplus(self) -> None:
        """Give up the slots above the number wanted: first the idle ones, then the youngest."""
        if self._wanted is None:
            return
        surplus = max(0, len(self._used()) - self._wanted)
        for place in self._by_loss()[:surplus]:
            place.is_left = True
            self._say(place, Leave())
            self._release_empty(place)

    def _retire_surplus(self) -> None:
        """Give up the slots above our share of the cluster, each when its job has ended."""
        if self._most is None:
            return
        surplus = max(0, len(self._used()) - self._most)
        for place in self._by_loss()[:surplus]:
            place.is_left = True
            for queued in list(place.jobs)[1:]:
                queued.recalled = True
                self._say(place, Recall(queued.job.id))
            self._release_empty(place)

    def _by_loss(self) -> list[_Place]:
        """Return the slots in use: the idle ones first, then the youngest."""
        return sorted(self._used(), key=lambda place: (bool(place.jobs), -place.number))

    def _release_empty(self, place: _Place) -> None:
        """End a slot that was given up, once it has no job any more."""
        if place.is_left and not place.jobs and place.number in self._places:
            del self._places[place.number]
            self._link.wire.post(Release(place.number))

    # --- jobs: to the slots and back ---

    def _feed(self) -> None:
        """Give waiting jobs to slots; take some back for idle ones."""
        self._in_order.feed(self._places.values(), self._waiting)

    def _recall(self, place: _Place, queued: _Travelling) -> None:
        queued.recalled = True
        self._say(place, Recall(queued.job.id))

    def _give(self, place: _Place, queued: _Travelling) -> None:
        queued.started = False
        queued.recalled = False
        place.jobs.append(queued)
        pickled = pickle.dumps(queued.job, protocol=pickle.HIGHEST_PROTOCOL)
        # Read only now: of what waits, only a job a slot is in memory.
        luggage = self._sender.luggage(queued.parcel)
        for name in luggage.constants:
            if name not in self._kept:
                self._kept.add(name)
                self._link.wire.post(Keep(name, self._sender.constant(name)))
        self._say(place, Give(queued.job.id, pickled, luggage))

    def _unpacked(self, ended: Finished | Raised) -> Finished | Raised:
        """Return the end of a job with the value that it has returned."""
        if isinstance(ended, Raised):
            return ended
        try:
            return Finished(ended.job, self._sender.value_of(ended.value))
        except Exception as error:  # its class cannot be imported here
            reason = f"the result cannot be unpickled: {type(error).__name__}: {error}"
            return Raised(ended.job, reason, "")

    def _say(self, place: _Place, message: ToActor) -> None:
        self._link.wire.post(ToSlot(place.number, message))

    # --- what the link says ---

    def _wait_for_first(self, until: float) -> None:
        """Wait until there is a slot; one that comes later is used as it comes."""
        connected_by = time.monotonic() + (LINK.answer_s or math.inf)
        while not self._places:
            if not self._connected and time.monotonic() >= connected_by:
                raise BusyError(f"no connection to Ray came about within {LINK.answer_s:.0f} s")
            if time.monotonic() >= until:
                raise BusyError("Ray has given no slot, and there is no time left to wait for one")
            self._listen(_LOOK_S)
            if self._error is not None:
                raise self._error

    def _listen(self, timeout_s: float) -> None:
        wire = self._link.wire
        poller = select.poll()
        if not wire.closed:
            poller.register(wire.fileno(), select.POLLIN | (select.POLLOUT if wire.pending else 0))
        poller.register(self._link.sentinel, select.POLLIN)
        poller.poll(max(0.0, timeout_s) * 1000)

        wire.flush()
        # Asked before reading: then what it said last is in the wire.
        ended = self._link.poll() is not None
        for message in wire.receive():
            self._take_in(message)
        if ended:
            self._lose_link()
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_S
            self._look_after()

    def _look_after(self) -> None:
        self._forkserver.look_after()
        pid = self._link.pid
        if pid is not None and self._silence.exceeded(self._link.wire.n_heard, pid):
            self._link.signal(signal.SIGKILL)

    def _lose_link(self) -> None:
        if self._error is not None:
            return
        exit_code = self._link.exitcode or 0
        how = f"exit code {exit_code}"
        if exit_code < 0:
            how = signal.Signals(-exit_code).name
        what = "Ray's head is gone" if self._connected else "no connection to Ray came about"
        lines = last_lines(self._log, 10)
        self._error = LostError(
            f"{what}: the process that held the connection has ended ({how}). Everything that "
            "has ended is kept; the same command goes on."
            + (f" Its last lines:\n{lines}" if lines else "")
        )

    def _take_in(self, message: ToDriver) -> None:
        match message:
            case Connected(seconds, started, nodes):
                self._connected = True
                self._notice(_greeting(seconds, started, nodes))
            case News(number, payload):
                # From our own slots, over connections that ask for a token.
                for event in pickle.loads(payload):  # noqa: S301
                    self._hear(number, event)
            case SlotGone():
                self._lose_place(message)
            case Share(n_slots):
                self._most = n_slots
                self._retire_surplus()
            case Notice(text):
                self._notice(text)
            case Refused(error):
                self._error = error

    def _hear(self, number: int, event: FromActor) -> None:
        match event:
            case Serving(slot, node, _):
                self._places[number] = _Place(number=number, slot=slot, node=node)
                self._leave_surplus()  # it was on its way when fewer were wanted
                self._retire_surplus()
                return
            case Unable(error):
                self._error = error
                return
            case Waits(text):
                self._notice(text)
                return

        place = self._places.get(number)
        queued = place.find(event.job) if place is not None else None
        if place is None or queued is None:  # cancelled, or of a slot that is lost
            return
        match event:
            case Started(job, _, pid):
                queued.started = True
                self._happened.append(Started(job, place.slot.name, pid))
            case Reported():
                self._happened.append(event)
            case Dropped():
                place.jobs.remove(queued)
                self._waiting.appendleft(queued)
            case Changes():
                self._sender.write(queued.parcel, event)
            case Finished(job, pickled_value):
                place.jobs.remove(queued)
                self._happened.append(self._unpacked(finished(job, pickled_value)))
            case Raised() | Died():
                place.jobs.remove(queued)
                self._happened.append(event)
        self._release_empty(place)

    def _lose_place(self, gone: SlotGone) -> None:
        """Report the end of the job that ran on a lost slot, and queue the one that waited."""
        place = self._places.pop(gone.number, None)
        if place is None:
            return
        for queued in reversed(place.jobs):
            if not queued.started:
                self._waiting.appendleft(queued)
                continue
            detail = f"the slot {place.slot.name} on Ray is lost: {gone.detail}"
            died = Died(queued.job.id, "lost", detail)
            if gone.out_of_memory:
                died = Died(queued.job.id, "host_oom", detail)
            self._happened.append(died)


def _greeting(seconds: float, started: bool, nodes: int) -> str:
    if started:
        return f"a Ray of our own has started in {seconds:.1f} s"
    return f"connected to Ray in {seconds:.1f} s: {nodes} node{'' if nodes == 1 else 's'}"
