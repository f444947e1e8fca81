"""`SimulatedExecutor`: the executor contract on a simulated clock.

The real loop drives it as it drives workers. An event queue (`heapq`) holds what happens next on
each slot. A trial waits until a slot is free and takes the seconds its training took when it was
recorded. What is left out: the milliseconds of the driver, unless its engine's are to count, and
the start of workers.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tuning.errors import StudyError
from tuning.executors.base import Died, Event, Finished, Job, Raised, Reported, Started
from tuning.executors.devices.slot import Slot
from tuning.simulation.outcomes import Training
from tuning.trial import EpochReport, Proposal

CHECKPOINT_S = 60.0
"""Seconds of training between two checkpoints of a trial; what came after the last is lost with the
attempt.
"""

AWAY_S = 60.0
"""Seconds until a slot that was preempted is there again."""

Kind = Literal["epoch", "end", "crash", "preempt", "back"]


@dataclass(frozen=True)
class Faults:
    """What goes wrong.

    Attributes:
        crash_rate: Share of the attempts that crash, at a moment drawn evenly from their time.
        preempt_rate: Preemptions an hour of a busy slot. The slot is away for a minute, the trial
            goes on from its last checkpoint as soon as a slot is free; it does not count as a
            failed attempt.
    """

    crash_rate: float = 0.0
    preempt_rate: float = 0.0


@dataclass(eq=False, slots=True, kw_only=True)
class _Attempt:
    """One go at a trial: it waits for a slot, or runs on one."""

    job: Job
    proposal: Proposal
    training: Training
    first: int  # epochs its parent has done
    start: int  # epochs behind it when it begins, of its parent or an attempt before
    ready: float  # when the driver had asked for it
    epoch: int = 0
    reported: int = 0  # the last epoch that the driver has heard of, also before a preemption
    slot: int = -1
    began: float = 0.0
    stop_at: float = float("inf")
    stop: Kind = "end"
    pruned: bool = False

    def at(self, epoch: int) -> float:
        """When an epoch ends."""
        trained_s = 0.0
        if epoch:
            ends = self.training.ends
            done = ends[self.start - 1] if self.start else 0.0
            trained_s = ends[epoch - 1] - done
        return self.began + self.training.overhead_s + trained_s

    @property
    def last(self) -> int:
        """The epoch it ends with."""
        return max(self.start, min(self.proposal.epochs, len(self.training.ends)))


@dataclass(eq=False)
class SimulatedExecutor:
    """Runs jobs whose arguments are (proposal, attempt, epochs done by the parent).

    Attributes:
        size: Slots.
        train: Gives the training at a proposal.
        faults: What goes wrong.
        rng: Draws when.
        now: Simulated seconds since the beginning.
        driver_at: Until when the driver is busy; nothing is begun or decided before.
        busy_s: Seconds slots have worked, lost work included.
        lost_s: Seconds of work that crashes and preemptions have thrown away.
        epochs: Epochs trained, lost ones included.
        crashes, preemptions: How many there were.
    """

    size: int
    train: Callable[[Proposal], Training]
    faults: Faults = Faults()
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    now: float = 0.0
    driver_at: float = 0.0
    busy_s: float = 0.0
    lost_s: float = 0.0
    epochs: int = 0
    crashes: int = 0
    preemptions: int = 0

    def __post_init__(self) -> None:
        self._slots = tuple(Slot(f"slot:{i}") for i in range(self.size))
        self._free = deque(range(self.size))
        self._waiting: deque[_Attempt] = deque()
        self._running: dict[str, _Attempt] = {}
        self._queue: list[tuple[float, int, Kind, _Attempt]] = []
        self._rank = itertools.count()  # at equal times what was queued first happens first
        self._checkpoints: dict[int, int] = {}  # number -> epochs that a crash has left

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All of them, also those that are away."""
        return self._slots

    @property
    def leaving(self) -> tuple[Slot, ...]:
        """None: they stay."""
        return ()

    @property
    def room(self) -> int:
        """How many more jobs may be submitted so that each slot has one running and one waiting."""
        return max(0, 2 * self.size - len(self._running) - len(self._waiting))

    def work(self, seconds: float) -> None:
        """Have the driver be busy for so long from now, or from when it is free."""
        self.driver_at = max(self.driver_at, self.now) + seconds

    def submit(self, job: Job) -> None:
        """Queue a job; it starts when a slot is free."""
        proposal, _, parent = job.args
        training = self.train(proposal)
        first = min(parent, len(training.ends))
        start = max(first, self._checkpoints.get(proposal.number, 0))
        attempt = _Attempt(
            job=job,
            proposal=proposal,
            training=training,
            first=first,
            start=start,
            ready=max(self.now, self.driver_at),
            reported=start,
        )
        self._waiting.append(attempt)

    def events(self, timeout_s: float) -> list[Event]:
        """Begin what can begin; go on to the next thing the driver must hear of, and return it."""
        happened: list[Event] = []
        while True:
            while self._waiting and self._free:
                happened.append(self._begin(self._waiting.popleft(), self._free.popleft()))
            if not self._queue:
                return happened

            self.now, _, kind, item = heapq.heappop(self._queue)
            events = self._happens(kind, item)
            if events:
                return [*happened, *events]

    def answer(self, job: str, verdict: str) -> None:
        """Answer the last report of a job: "continue", "prune" or "stop"."""
        item = self._running[job]
        if verdict == "prune":
            item.pruned = True
            self._push(max(self.now, self.driver_at), "end", item)
        elif verdict == "stop":
            self._leave(item)
            self._push(self.now, "back", item)
        else:
            item.began += max(0.0, self.driver_at - self.now)  # it has waited for the verdict
            self._go_on(item)

    def cancel(self, job: str) -> None:
        """Forget a job that waits; a simulation cancels nothing that runs."""
        self._waiting = deque(item for item in self._waiting if item.job.id != job)

    def resize(self, slots: Sequence[Slot]) -> None:
        """Refuse: a simulation has its slots for good.

        Raises:
            StudyError: Always.
        """
        raise StudyError("a simulation has its slots for good; say --slots")

    def close(self) -> None:
        """End nothing."""

    def _push(self, at: float, kind: Kind, item: _Attempt) -> None:
        heapq.heappush(self._queue, (at, next(self._rank), kind, item))

    def _begin(self, item: _Attempt, slot: int) -> Event:
        item.slot = slot
        item.epoch = item.start
        item.began = max(self.now, item.ready)
        self._running[item.job.id] = item

        item.stop_at = item.at(item.last)
        item.stop = "end"
        duration = item.stop_at - item.began
        if self.faults.crash_rate and self.rng.random() < self.faults.crash_rate:
            item.stop_at = item.began + self.rng.random() * duration
            item.stop = "crash"
        if self.faults.preempt_rate:
            after = self.rng.exponential(3600 / self.faults.preempt_rate)
            if item.began + after < item.stop_at:
                item.stop_at = item.began + after
                item.stop = "preempt"

        self._go_on(item)
        return Started(item.job.id, self._slots[slot].name, 0)

    def _go_on(self, item: _Attempt) -> None:
        """Queue what happens next to a trial: an epoch that waits for a verdict, or its end."""
        following = item.epoch + 1
        watched = item.job.wants_answer and following <= item.last
        at = item.at(following if watched else item.last)
        if item.stop != "end" and at > item.stop_at:
            self._push(max(self.now, item.stop_at), item.stop, item)
        elif watched and not item.training.fails_at(following):
            self._push(at, "epoch", item)
        else:
            self._push(at, "end", item)

    def _happens(self, kind: Kind, item: _Attempt) -> list[Event]:
        if kind == "back":
            self._free.append(item.slot)
            return []
        if kind == "epoch":
            item.epoch += 1
            # Reported before a preemption, of which the driver knows nothing.
            if item.epoch <= item.reported:
                self._go_on(item)
                return []

            item.reported = item.epoch
            value = item.training.values[item.epoch - 1]
            metrics = {item.training.objective.metric: value}
            report = EpochReport(
                item.proposal.number, item.epoch, value, metrics, self.now - item.began
            )
            return [Reported(item.job.id, report)]

        self._leave(item)
        if kind == "end":
            return [self._end(item)]
        return self._lose(kind, item)

    def _lose(self, kind: Kind, item: _Attempt) -> list[Event]:
        """End an attempt by a fault; what its last checkpoint holds is not lost."""
        reached = self._reached(item)
        checkpoint = self._checkpoint(item, reached)
        self.epochs += item.training.epochs(item.start, reached)
        self.lost_s += self.now - item.began - (item.at(checkpoint) - item.at(item.start))

        # The driver hears of a crash, and decides whether there is another attempt.
        if kind == "crash":
            self.crashes += 1
            self._checkpoints[item.proposal.number] = checkpoint
            self._free.append(item.slot)
            return [Died(item.job.id, "crashed", "simulated")]

        # Of a preemption it does not: the same job goes on, before all that wait.
        self.preemptions += 1
        self._push(self.now + AWAY_S, "back", item)
        again = _Attempt(
            job=item.job,
            proposal=item.proposal,
            training=item.training,
            first=item.first,
            start=checkpoint,
            ready=self.now,
            reported=item.reported,
        )
        self._waiting.appendleft(again)
        return []

    def _leave(self, item: _Attempt) -> None:
        del self._running[item.job.id]
        self.busy_s += self.now - item.began

    def _end(self, item: _Attempt) -> Event:
        self._free.append(item.slot)
        last = item.epoch if item.pruned else item.last
        self.epochs += item.training.epochs(item.start, last)
        if item.first >= item.proposal.epochs:
            error = f"TrialError: the parent was trained for {item.first} epochs: none is left"
            return Raised(item.job.id, error, "")

        result = item.training.result(item.proposal, item.first, last, pruned=item.pruned)
        return Finished(item.job.id, result)

    def _reached(self, item: _Attempt) -> int:
        """Return the last epoch that had ended when the attempt was lost."""
        epoch = item.start
        while epoch < item.last and item.at(epoch + 1) <= self.now:
            epoch += 1
        return epoch

    def _checkpoint(self, item: _Attempt, reached: int) -> int:
        """Return the last epoch of which there is a checkpoint.

        One is written once enough seconds have gone by since the one before.
        """
        checkpoint = item.start
        written_at = item.at(checkpoint)
        for epoch in range(item.start + 1, reached + 1):
            if item.at(epoch) - written_at >= CHECKPOINT_S:
                checkpoint = epoch
                written_at = item.at(epoch)
        return checkpoint
