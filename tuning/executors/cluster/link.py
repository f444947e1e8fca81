"""The link: the process that holds the connection to Ray; the driver's side is `ray_executor`.

It knows slots by number, asks Ray for as many as are wanted, and passes messages on. Whose turn it
is and what a slot's loss means is for the driver to say. What Ray's threads find out comes in
through a mailbox, so that all of it is done by one thread.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from getpass import getuser
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from tuning.errors import TuningError, first_line
from tuning.executors.cluster import boot, kv_internals
from tuning.executors.cluster.actor import SlotSettings
from tuning.executors.cluster.connection import Address, connect
from tuning.executors.cluster.mailbox import Mailbox
from tuning.executors.cluster.runtime import Runtime
from tuning.executors.cluster.wishes import Demand
from tuning.executors.cluster.words import (
    Give,
    Hold,
    Keep,
    News,
    Notice,
    Refused,
    Release,
    Share,
    SlotGone,
    ToActor,
    ToLink,
    ToSlot,
    Want,
)
from tuning.executors.sharing.board import Board, Note
from tuning.executors.sharing.fair_share import FairShare
from tuning.executors.supervision.logs import CappedLog
from tuning.executors.supervision.parts import SLOT
from tuning.executors.wire import Wire

_POLL_S = 5.0
"""So long a slot keeps a question open while nothing happens there."""
_LOOK_S = 0.5
_CENSUS_S = 2.0
_CLOSE_S = 4.0
_PATIENCE_S = 20.0
"""A slot that was asked for because there was room, and has not come by then, is asked for no more:
somebody else has the room."""
_SAID_AT_S = 5.0
"""Without any slot so long, the user is told that one is waited for."""


@dataclass(frozen=True, kw_only=True)
class LinkSettings:
    """What the link is begun with.

    Attributes:
        address: Of Ray.
        demand: What slots are wanted.
        slot: What each is made with.
        log: Gets what Ray prints.
        runtime: The files that nodes need; None: they are this machine.
    """

    address: Address
    demand: Demand
    slot: SlotSettings
    log: Path
    runtime: Runtime | None = None


@dataclass(kw_only=True)
class _Actor:
    """One slot, as Ray has it.

    Attributes:
        handle: Of the actor.
        asked_at: On the monotonic clock.
        silent_s: Since its last answer, while this process was not stopped itself.
        is_up: Whether it has ever answered.
        n_said: Messages to it so far.
        holds: Names of the large things that it has.
    """

    handle: Any
    asked_at: float = field(default_factory=time.monotonic)
    silent_s: float = 0.0
    is_up: bool = False
    n_said: int = 0
    holds: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Answered:
    """A slot's question has come to an end, with a pickled list or an error."""

    number: int
    payload: bytes
    error: BaseException | None


@dataclass(frozen=True)
class _Census:
    """What the cluster has, how much of it is free, and who else is there."""

    total: dict[str, float]
    free: dict[str, float]
    others: list[Note]


def main(wire: Wire, settings: LinkSettings) -> int:
    """Connect to Ray and serve the driver until it hangs up."""
    CappedLog(settings.log)

    def refuse(error: TuningError) -> None:
        wire.send(Refused(error))
        os._exit(1)

    with ExitStack() as stack:
        try:
            ray, connected = connect(
                settings.address,
                stack,
                log=settings.log,
                refuse=refuse,
            )
        except TuningError as error:
            wire.send(Refused(error))
            return 1
        # Ray has put a handler of its own there. A signal that a batch system sends to all of a job
        # is for the driver to decide on.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        wire.send(connected)
        return _Link(wire, settings, ray).run()


class _Link:
    """The loop."""

    def __init__(self, wire: Wire, settings: LinkSettings, ray: ModuleType) -> None:
        self._wire = wire
        self._settings = settings
        self._ray = ray
        self._mailbox: Mailbox[_Answered | _Census] = Mailbox()
        self._actors: dict[int, _Actor] = {}
        self._constants: dict[str, Any] = {}  # references to large things, by name
        self._archive: Any = None  # a reference: Ray brings it along, once a node
        if settings.runtime is not None:
            self._archive = ray.put(settings.runtime.archive())
        ray.cloudpickle.register_pickle_by_value(boot)
        self._next = 0
        self._count = settings.demand.count
        self._kind: Literal["cpu", "gpu"] | None = None
        if settings.demand.kind != "auto":
            self._kind = settings.demand.kind
        self._board = Board(kv_internals)
        self._note: Note | None = None
        self._fair = FairShare()
        self._most: int | None = None  # slots, as others want some
        self._census: _Census | None = None
        self._lost_in_a_row = 0
        self._looked_at = time.monotonic()
        self._without_since: float | None = time.monotonic()
        self._refused = False

    def run(self) -> int:
        threading.Thread(target=self._take_census, name="census", daemon=True).start()
        while not self._wire.closed and not self._refused:
            self._ask_for_slots()
            self._wait(_LOOK_S)
            self._wire.flush()
            for message in self._wire.receive():
                self._obey(message)
            for item in self._mailbox.take():
                if isinstance(item, _Census):
                    self._count_room(item)
                else:
                    self._hear(item)
            self._look_after()
        self._close()
        return int(self._refused)

    def _wait(self, timeout_s: float) -> None:
        poller = select.poll()
        writing = select.POLLOUT if self._wire.pending else 0
        poller.register(self._wire.fileno(), select.POLLIN | writing)
        poller.register(self._mailbox.fileno(), select.POLLIN)
        poller.poll(timeout_s * 1000)

    # --- what the driver says ---

    def _obey(self, message: ToLink) -> None:
        match message:
            case ToSlot(number, inner):
                actor = self._actors.get(number)
                if actor is not None:  # else its loss is under way to the driver
                    self._say(actor, inner)
            case Keep(name, data):
                self._constants[name] = self._ray.put(data)
            case Want(n_slots):
                self._count = n_slots
                self._give_up_surplus()
            case Release(number):
                if number in self._actors:
                    self._end(number, "it was given up")

    def _say(self, actor: _Actor, message: ToActor) -> None:
        if isinstance(message, Give):
            new = [name for name in message.luggage.constants if name not in actor.holds]
            if new:
                actor.holds.update(new)
                self._send(actor, Hold(tuple(new)), *(self._constants[name] for name in new))
        self._send(actor, message)

    def _send(self, actor: _Actor, message: ToActor, *references: Any) -> None:
        """Send a message; what is referred to Ray brings along, once a node."""
        pickled = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        actor.handle.say.remote(actor.n_said, pickled, *references)
        actor.n_said += 1

    # --- slots come ---

    def _ask_for_slots(self) -> None:
        """Ask for those that are missing of a certain number."""
        if self._count is not None and self._kind is not None:
            for _ in range(self._count - len(self._actors)):
                self._ask_for_one(self._kind)

    def _count_room(self, census: _Census) -> None:
        """Ask for as many as there is room for; for one, where there is none at all.

        No more: where others use the cluster, and it grows by demand, it would grow for ever.
        """
        per_slot = self._settings.demand.per_slot
        if self._kind is None:
            has_gpus = census.total.get("GPU", 0.0) >= per_slot
            self._kind = "gpu" if has_gpus else "cpu"
        self._census = census
        self._note = self._own_note()
        n_free = int(census.free.get(self._kind.upper(), 0.0))
        room = n_free // per_slot
        self._share_out(census, n_free)
        if self._count is not None:
            return

        pending = [number for number, actor in self._actors.items() if not actor.is_up]
        missing = room - len(pending)
        if self._most is not None:
            missing = min(missing, self._most - len(self._actors))
        if not self._actors:
            missing = max(1, missing)
        for _ in range(missing):
            self._ask_for_one(self._kind)

        if room == 0:
            self._give_up_waiting(pending)

    def _give_up_waiting(self, pending: Sequence[int]) -> None:
        """End slots that have not come in spite of room: somebody else has it now."""
        now = time.monotonic()
        for number in pending:
            is_old = now - self._actors[number].asked_at > _PATIENCE_S
            if is_old and len(self._actors) > 1:
                self._end(number, "there was no room for it")

    def _own_note(self) -> Note:
        return Note(
            label=self._settings.slot.label,
            who=f"{getuser()}@{socket.gethostname()}",
            kind=self._kind or "cpu",
            per_slot=self._settings.demand.per_slot,
            n_up=sum(actor.is_up for actor in self._actors.values()),
            n_wanted=self._count,
        )

    def _share_out(self, census: _Census, n_free: int) -> None:
        """Tell the driver how many slots are ours, where that has changed."""
        n_total = int(census.total.get((self._kind or "cpu").upper(), 0.0))
        most = self._fair.most(self._own_note(), census.others, n_total, n_free)
        if most != self._most:
            self._most = most
            self._wire.post(Share(most))

    def _ask_for_one(self, kind: Literal["cpu", "gpu"]) -> None:
        per_slot = self._settings.demand.per_slot
        resources: dict[str, Any] = {"num_cpus": 1}
        if kind == "gpu":
            resources = {"num_cpus": 0, "num_gpus": per_slot}
        settings = replace(self._settings.slot, kind=kind, per_slot=per_slot)
        maker = self._ray.remote(
            max_restarts=0,
            max_task_retries=0,
            # One waits for news; concurrency groups, Ray's client does not know.
            max_concurrency=4,
            **resources,
        )(boot.SlotActor)
        pickled = pickle.dumps(settings, protocol=pickle.HIGHEST_PROTOCOL)
        handle = maker.remote(pickled, self._archive, settings.import_path)
        actor = _Actor(handle=handle)
        self._actors[self._next] = actor
        self._poll(self._next, actor)
        self._next += 1

    # --- what slots say ---

    def _poll(self, number: int, actor: _Actor) -> None:
        actor.silent_s = 0.0
        future = actor.handle.poll.remote(_POLL_S).future()
        future.add_done_callback(partial(self._answered, number))

    def _answered(self, number: int, future: Any) -> None:
        """Runs in a thread of Ray's."""
        error = future.exception()
        payload = b"" if error is not None else future.result()
        self._mailbox.put(_Answered(number, payload, error))

    def _hear(self, answered: _Answered) -> None:
        actor = self._actors.get(answered.number)
        if actor is None:
            return
        if answered.error is not None:
            self._lose(answered.number, answered.error)
            return
        actor.is_up = True
        self._lost_in_a_row = 0
        self._wire.post(News(answered.number, answered.payload))
        self._poll(answered.number, actor)

    # --- slots go ---

    def _lose(self, number: int, error: BaseException) -> None:
        """Take note of a slot that is gone, or that cannot be reached any more."""
        was_up = self._actors[number].is_up
        detail = first_line(error) or type(error).__name__
        text = str(error)
        # Ray's monitor has ended it. What the kernel has ended for that looks like any kill.
        out_of_memory = isinstance(error, self._ray.exceptions.OutOfMemoryError)
        self._end(number, detail, out_of_memory=out_of_memory)

        self._lost_in_a_row += not was_up
        if self._lost_in_a_row > SLOT.restarts:
            what = f"slots on Ray end before they begin: {text.strip()}"
            self._wire.send(Refused(TuningError(what)))
            self._refused = True

    def _end(self, number: int, detail: str, *, out_of_memory: bool = False) -> None:
        actor = self._actors.pop(number)
        with suppress(Exception):  # it may be gone; and one that we only lost sight of must go
            self._ray.kill(actor.handle, no_restart=True)
        self._wire.post(SlotGone(number, detail, out_of_memory))

    def _give_up_surplus(self) -> None:
        """End slots above the number wanted that have not come: the driver knows of no other."""
        if self._count is None:
            return
        surplus = max(0, len(self._actors) - self._count)
        pending = [number for number, actor in self._actors.items() if not actor.is_up]
        for number in pending[:surplus]:
            self._end(number, "it was given up")

    def _look_after(self) -> None:
        """End what gives no sign of life; say so where there is no slot at all."""
        now = time.monotonic()
        step_s = min(now - self._looked_at, 2.0)
        self._looked_at = now
        for number, actor in list(self._actors.items()):
            actor.silent_s += step_s
            if actor.is_up and SLOT.silence_s and actor.silent_s > _POLL_S + SLOT.silence_s:
                self._end(number, f"it gave no sign of life for {actor.silent_s:.0f} s")

        if any(actor.is_up for actor in self._actors.values()) or self._count == 0:
            self._without_since = None
        elif self._without_since is None:
            self._without_since = now
        elif now - self._without_since > _SAID_AT_S:
            self._without_since = now + 600.0  # once is enough for a while
            self._wire.post(Notice(self._what_is_waited_for()))

    def _what_is_waited_for(self) -> str:
        per_slot = self._settings.demand.per_slot
        if self._census is None or self._kind is None:
            return "waiting for Ray to give a slot"
        what = self._kind.upper()
        total = int(self._census.total.get(what, 0.0))
        free = int(self._census.free.get(what, 0.0))
        text = (
            f"waiting for Ray to give a slot: it takes {per_slot} {what}"
            f"{'' if per_slot == 1 else 's'}, and of the cluster's {total} {free} are free"
        )
        others = "; ".join(note.words() for note in self._census.others if note.n_up)
        return f"{text}. Others there: {others}" if others else text

    def _take_census(self) -> None:
        """Runs in a thread: while the head cannot be reached, Ray's answer is waited for long."""
        while True:
            with suppress(Exception):  # it ends this process where it is gone for good
                total = self._ray.cluster_resources()
                free = self._ray.available_resources()
                self._mailbox.put(_Census(total, free, self._board.exchange(self._note)))
            time.sleep(_CENSUS_S)

    def _close(self) -> None:
        """End all slots, and wait for a moment until their devices are free."""
        with suppress(Exception):
            self._board.leave()
        with suppress(Exception):
            refs = [actor.handle.close.remote() for actor in self._actors.values() if actor.is_up]
            if refs:
                self._ray.wait(refs, num_returns=len(refs), timeout=_CLOSE_S)
        for actor in self._actors.values():
            with suppress(Exception):
                self._ray.kill(actor.handle, no_restart=True)
