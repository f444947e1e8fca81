"""`SlotServer`: what runs on a node for each slot: in a Ray actor, it holds a `LocalExecutor`.

It is a light process. Its trial runs in a worker that is forked on the node, as on a box of our
own: the same code, limits and supervision, and a trial that hangs is killed without losing the
actor. `boot.SlotActor` is what Ray makes an actor of; the slots of a node share a forkserver.

Threads of Ray's bring messages and fetch what has happened; one of its own serves. The executor
belongs to the serving thread alone.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tuning.errors import MissingError, TuningError
from tuning.executors.base import Died, Event, Finished, Job, Raised
from tuning.executors.cluster.mailbox import Mailbox
from tuning.executors.cluster.node_executor import NodeExecutor
from tuning.executors.cluster.node_files import NodeJobs
from tuning.executors.cluster.settling import Settling, settle_in
from tuning.executors.cluster.shared_forkserver import SharedForkServer
from tuning.executors.cluster.travel import Changes
from tuning.executors.cluster.words import (
    Cancel,
    Dropped,
    FromActor,
    Give,
    Hold,
    Leave,
    Recall,
    Reply,
    Serving,
    ToActor,
    Unable,
    Waits,
)
from tuning.executors.devices.gpus import discover, names, words
from tuning.executors.devices.slot import Slot
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import PRELOAD
from tuning.executors.worker import Limits
from tuning.storage.scratch import scratch_folder

_TICK_S = 1.0  # between looks whether to close, where nothing happens


@dataclass(frozen=True, kw_only=True)
class SlotSettings:
    """What a slot is made with; the same for all of a search.

    Attributes:
        kind: Of its device.
        per_slot: GPUs of it.
        label: Who holds the device, for messages to others: the study's name.
        limits: When a worker is replaced.
        preload: What the forkserver of the node imports.
        import_path: Of the driver; what is there on the node too is looked for there last.
        settling: How a node is made ready for the study.
    """

    kind: Literal["cpu", "gpu"]
    per_slot: int = 1
    label: str = ""
    limits: Limits = field(default_factory=Limits)
    preload: tuple[str, ...] = PRELOAD
    import_path: tuple[str, ...] = ()
    settling: Settling = field(default_factory=Settling)


class SlotServer:
    """One slot on a node of the cluster.

    Args:
        settings: What it is made with.
        folder: That the slots of this job share on this node.
    """

    def __init__(self, settings: SlotSettings, folder: str) -> None:
        self._settings = settings
        self._folder = Path(folder)
        self._inbox: Mailbox[ToActor] = Mailbox()
        # Messages that came before their turn, by number, and what Ray has brought along.
        self._early: dict[int, tuple[bytes, tuple[bytes, ...]]] = {}
        self._next = 0
        self._order = threading.Lock()

        self._happened: list[FromActor] = []
        self._news = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._live, name="slot", daemon=True)
        self._thread.start()

    # --- called by the link, in Ray's threads ---

    def say(self, number: int, message: bytes, *constants: bytes) -> None:
        """Take a pickled `ToActor`.

        Args:
            number: From 0, in the order of the link's calls; Ray may bring them in another.
            message: Pickled.
            constants: Of a `Hold`, what it names.
        """
        with self._order:
            self._early[number] = (message, constants)
            while self._next in self._early:
                pickled, data = self._early.pop(self._next)
                self._next += 1
                # From our own link, over Ray's connection, which asks for a token.
                word: ToActor = pickle.loads(pickled)  # noqa: S301
                self._inbox.put(word._replace(data=data) if isinstance(word, Hold) else word)

    def poll(self, timeout_s: float) -> bytes:
        """Wait for something to happen; return a pickled list of `FromActor`, maybe empty."""
        with self._news:
            self._news.wait_for(lambda: self._happened, timeout_s)
            happened = self._happened
            self._happened = []
        return pickle.dumps(happened, protocol=pickle.HIGHEST_PROTOCOL)

    def close(self) -> None:
        """End the worker and give the device back; returns when that is done."""
        self._closing = True
        self._inbox.put(Cancel(""))  # wakes the thread
        self._thread.join(10.0)

    # --- the serving thread ---

    def _live(self) -> None:
        node = ""
        try:
            node = _address_of_node()
            serving = _Serving(self._settings, self._inbox, self._tell, lambda: self._closing)
            with ExitStack() as stack:
                serving.run(stack, node, self._folder)
        except TuningError as error:
            on_node = TuningError(f"on the node {node}: {error}")
            on_node.exit_code = error.exit_code
            self._tell(Unable(on_node))
        except BaseException as error:  # whatever it is, the driver shall hear of it
            text = f"on the node {node}: a slot has failed: {type(error).__name__}: {error}"
            self._tell(Unable(TuningError(text)))

    def _tell(self, *events: FromActor) -> None:
        with self._news:
            self._happened += events
            self._news.notify_all()


class _Closing(Exception):
    """The slot is to end, whatever runs there."""


class _Serving:
    """Runs one job after another on the slot's device."""

    def __init__(
        self,
        settings: SlotSettings,
        inbox: Mailbox[ToActor],
        tell: Callable[..., None],
        is_closing: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._tell = tell
        self._is_closing = is_closing
        self._ahead: deque[Give] = deque()
        self._running = ""
        self._executor: NodeExecutor
        self._jobs: NodeJobs

    def run(self, stack: ExitStack, node: str, shared: Path) -> None:
        """Serve until the link is done with it; `stack` ends what is opened here.

        Args:
            stack: See above.
            node: Its address.
            shared: The folder of this job on this node.
        """
        code = settle_in(self._settings.settling, node)
        folder = Path(stack.enter_context(scratch_folder("tuning-slot-")))
        self._jobs = NodeJobs(folder / "jobs", code)
        forkserver = stack.enter_context(SharedForkServer(shared, self._settings.preload))
        slot = _slot_here(self._settings, node)
        self._executor = stack.enter_context(
            NodeExecutor(
                slot,
                forkserver=forkserver,
                folder=folder,
                limits=self._settings.limits,
                label=self._settings.label,
                notice=lambda text: self._tell(Waits(text)),
                wakes=self._inbox.fileno(),
                on_wake=self._take_in,
            )
        )
        self._tell(Serving(slot, node, os.getpid()))
        with suppress(_Closing):
            self._take_in()
            while True:
                self._pass_on(self._executor.events(_TICK_S))

    def _pass_on(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Finished | Raised | Died):
                self._running = ""
                # Before it: who is told of an end has the files.
                self._tell_changes(self._jobs.end())
            self._tell(event)
        for job in self._executor.take_back():
            self._running = ""
            self._jobs.end()  # it has not begun
            self._tell(Dropped(job))
        self._tell_changes(self._jobs.look())
        self._begin_next()

    def _tell_changes(self, changes: Changes | None) -> None:
        if changes is not None:
            self._tell(changes)

    def _take_in(self) -> None:
        messages = self._inbox.take()
        if self._is_closing():
            raise _Closing
        for message in messages:
            match message:
                case Give():
                    self._ahead.append(message)
                case Recall(job):
                    if self._drop(job):
                        self._tell(Dropped(job))
                case Reply(job, answer):
                    self._executor.answer(job, answer)
                case Cancel(job):
                    if not self._drop(job):
                        self._executor.cancel(job)
                case Leave():
                    for given in self._ahead:
                        self._tell(Dropped(given.job))
                    self._ahead.clear()
                    self._executor.resize([])
                case Hold(names, data):
                    self._jobs.hold(names, data)
        self._begin_next()

    def _drop(self, job: str) -> bool:
        """Forget a job that waits; return whether it did."""
        remaining = deque(each for each in self._ahead if each.job != job)
        was_there = len(remaining) < len(self._ahead)
        self._ahead = remaining
        return was_there

    def _begin_next(self) -> None:
        if self._running or not self._ahead:
            return
        given = self._ahead.popleft()
        job: Job = pickle.loads(given.pickled)  # noqa: S301 - as `say`; its arguments stay pickled
        self._running = given.job
        self._executor.submit(self._jobs.begin(job, given.luggage))


def _slot_here(settings: SlotSettings, node: str) -> Slot:
    """Return the slot of the device that Ray has given to this process."""
    if settings.kind == "cpu":
        # Unlike an address and a port it is one of a kind on its node.
        name = f"ray:{node}:{os.getpid()}"
        return Slot(name, {"CUDA_VISIBLE_DEVICES": "-1"}, threads=1)

    # Ray names them there, by number or UUID; `discover` knows their UUIDs.
    visible = words(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    ours = [gpu.uuid for gpu in discover() if any(names(word, gpu) for word in visible)]
    if len(ours) != settings.per_slot:
        raise MissingError(
            f"Ray has given the GPUs {', '.join(visible) or '(none)'}, and NVIDIA's driver knows "
            f"{len(ours)} of these {settings.per_slot}"
        )
    return parse_devices(",".join(ours), settings.per_slot)[0]


def _address_of_node() -> str:
    import ray

    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return address
