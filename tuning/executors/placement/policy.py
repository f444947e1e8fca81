"""`Placement`: which waiting job a free slot is given, on a box with CPU and GPU slots.

The first trials are timed where they run: none is run only to be timed. A free slot is given the
waiting trial that gains most there. It is left idle where the trial would be done earlier by
waiting for the other kind, and does not delay the end of the search where it is used. A trial that
turns out to be the last by far is begun anew on the other kind.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from tuning.executors.devices.slot import Kind, Slot
from tuning.executors.placement.model import CostModel, Costs, Timing
from tuning.executors.placement.running import RunningTrial
from tuning.executors.placement.split import Load, Pair, Split, best_split
from tuning.executors.placement.work import Work

Mode: TypeAlias = Literal["timing", "cpu", "gpu", "both"]
"""Which slots are used; "timing" until both kinds were timed."""

_ENOUGH = 4  # timings of each kind before one of them is given up
_SURE = 10  # timings of each kind before the plan is made less often
FIRST_CORES = 4
"""CPU slots that are used before a trial was timed on one, and where it is long, on a GPU."""
_SHORT_S = 20.0  # a trial that keeps no core from a better one for long
_TYPICAL = 48  # trials that the split is made for
_WORTH_BOTH = 0.95  # two kinds have to be done in this part of the time of the better one
_BAND = 1.25  # trials whose gain is so near the limit may go to either kind
_HOPE = 1.0  # standard deviations by which a kind may be faster before it is given up
_CURIOSITY = 0.5  # standard deviations by which what is not known is looked at as good
_LATE = 1.5  # so many times later than elsewhere, and a trial is begun anew there
_LAST = 0.9  # of the time to the end of the search
_RESTART_S = 2.0


class Choice(NamedTuple):
    """A job for a slot: their places in the sequences that `choose` was given."""

    slot: int
    job: int


@dataclass(frozen=True)
class _Believed:
    """What a trial costs on each kind."""

    costs: Costs
    pair: Pair

    def seconds(self, kind: Kind) -> float:
        return self.pair.on(kind)

    def hoped(self, kind: Kind) -> Pair:
        """Return the seconds if one kind is faster than is believed."""
        factor = math.exp(-_HOPE * self.costs.spread)
        if kind == "cpu":
            return Pair(self.pair.cpu * factor, self.pair.gpu)
        return Pair(self.pair.cpu, self.pair.gpu * factor)


class Placement:
    """Decides for one executor; single-threaded, and told of everything that happens to its jobs.

    Attributes:
        model: What trials cost.
        timings: All that the model has learned from.

    Args:
        slots: All of the executor's, of both kinds. A CPU slot whose core feeds a GPU is used where
            no GPU is.
        domains: The study's parameters by name.
        timings: Of an earlier run of the same search.
        now: The clock, in seconds.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        domains: Mapping[str, Any],
        timings: Sequence[Timing] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slots = tuple(slots)
        self.model = CostModel(domains)
        self.timings: list[Timing] = []
        self._now = now
        self._feeding = {core for slot in slots if slot.kind == "gpu" for core in slot.cores}
        self._running: dict[str, RunningTrial] = {}
        self._typical: deque[Work] = deque(maxlen=_TYPICAL)
        self._seen: set[str] = set()
        self._avoided: dict[str, Kind] = {}  # by trial: it was too slow there
        self._believed: dict[str, _Believed] = {}  # by trial; forgotten with each timing
        self._epochs = [1.0, 1.0]  # trained and allowed, of ended trials
        self._to_come: int | None = None
        self._mode: Mode = "timing"
        self._gain = 1.0  # from which a trial belongs on a GPU
        self._ends_at = 0.0
        self._waiting: list[Work] = []
        self._used: dict[Kind, list[str]] = {"cpu": [], "gpu": []}
        self._is_planned = False
        self._plan_at = 0.0  # on the clock: not made anew with each timing
        self._supposes = False
        for timing in timings:
            self._learn(timing)

    # --- which slots, which job ---

    @property
    def mode(self) -> Mode:
        """Which slots are used."""
        self._plan()
        return self._mode

    @property
    def gain(self) -> float:
        """Trials that gain more than this on a GPU belong there."""
        return self._gain

    def used(self, slots: Sequence[Slot]) -> tuple[Slot, ...]:
        """Return those of `slots` that trials are asked for; never none where there is one."""
        self._plan()
        names = {name for each in self._used.values() for name in each}
        return tuple(slot for slot in slots if slot.name in names) or tuple(slots)

    def choose(
        self, idle: Sequence[Slot], busy: Sequence[Slot], waiting: Sequence[Work | None]
    ) -> Choice | None:
        """Return which waiting job goes to which idle slot next; None: none for now.

        Args:
            idle, busy: The slots without a job, and with one.
            waiting: The jobs in the order in which they came; None of one that says nothing of
                itself, which takes the first slot that there is.
        """
        if not waiting or not idle:
            return None
        for work in waiting:
            self._note(work)
        self._waiting = [work for work in waiting if work is not None]
        self._plan()
        used = {slot.name for slot in self.used([*busy, *idle])}
        free = [
            place for place, slot in enumerate(idle) if slot.name in used and _is_free(slot, busy)
        ]
        if not free:
            return None
        if waiting[0] is None:
            return Choice(free[0], 0)

        for kind in ("gpu", "cpu"):
            places = [place for place in free if idle[place].kind == kind]
            job = self._job_for(kind, waiting) if places else None
            if job is not None:
                return Choice(places[0], job)
        # Whatever is believed, something runs.
        return None if busy else Choice(free[0], 0)

    def _job_for(self, kind: Kind, waiting: Sequence[Work | None]) -> int | None:
        """Return the place of the job that is best begun on a slot of this kind now.

        Jobs that gain equally stay in their order.
        """
        other: Kind = "gpu" if kind == "cpu" else "cpu"
        ahead_s = sum(self._left_s(trial) for trial in self._on(other))
        horizon_s = self._horizon_s()
        n_timings = self.model.n_timings[kind]
        is_curious = n_timings < _SURE and len(self._on(kind)) < FIRST_CORES
        best: tuple[float, int] | None = None
        for place, work in enumerate(waiting):
            if work is None or (self._used[other] and self._avoided.get(work.key) == kind):
                continue
            believed = self._of(work)
            there_s = math.inf
            if self._used[other] and self._avoided.get(work.key) != other:
                there_s = ahead_s / len(self._used[other]) + believed.seconds(other)
            belongs = self._belongs(believed)
            if belongs == other:
                ahead_s += believed.seconds(other)

            here_s = believed.hoped(kind).on(kind)
            # Either nobody else is done with it earlier, or it belongs here and delays nothing: a
            # slot is kept for what gains there.
            pays = here_s <= there_s or (belongs != other and here_s <= horizon_s) or is_curious
            rank = round(self._rank(believed, kind), 2), place
            if pays and (best is None or rank < best):
                best = rank
        return None if best is None else best[1]

    def _rank(self, believed: _Believed, kind: Kind) -> float:
        """Return a figure that is the lower the more a trial gains on a kind, or may gain."""
        log_gain = math.log(believed.pair.gain)
        curiosity = _CURIOSITY * believed.costs.spread
        return (-log_gain if kind == "gpu" else log_gain) - curiosity

    def _belongs(self, believed: _Believed) -> Kind | None:
        """Return the kind on which a trial gains more than others do; None near the limit."""
        if believed.pair.gain > self._gain * _BAND:
            return "gpu"
        if believed.pair.gain < self._gain / _BAND:
            return "cpu"
        return None

    def _horizon_s(self) -> float:
        """Return in how many seconds the search is going to end."""
        if self._to_come is None:
            return math.inf
        return max(0.0, self._ends_at - self._now())

    # --- what is seen ---

    def begin(self, job: str, work: Work | None, slot: Slot) -> None:
        """Note that a job was given to a slot."""
        if work is not None:
            self._running[job] = RunningTrial(work=work, slot=slot, began=self._now())

    def report(self, job: str, seconds: float, fits: int) -> None:
        """Note an epoch, at so many seconds of the trial's own clock."""
        trial = self._running.get(job)
        if trial is None:
            return
        trial.report(seconds, fits)
        timing = trial.early_timing()
        if timing is not None:
            self._learn(timing)

    def end(self, job: str, seconds: float | None) -> None:
        """Note that a job has ended, after so many seconds; None where they say nothing."""
        trial = self._running.pop(job, None)
        if trial is None or not seconds:
            return
        work = trial.work
        self._epochs[0] += (trial.n_reports or work.epochs) / work.epochs
        self._epochs[1] += 1
        believed = self._of(work).costs.on(trial.slot.kind)
        self._learn(trial.final_timing(seconds, believed))

    def moves(self) -> list[str]:
        """Return the running job that shall be begun anew on the other kind; each trial once.

        One at a time: where it goes there is less room for the next one.
        """
        self._suppose()
        for job, trial in self._running.items():
            if trial.work.key not in self._avoided and self._is_late(trial):
                self._avoided[trial.work.key] = trial.slot.kind
                return [job]
        return []

    def _suppose(self) -> None:
        """Have the model know of trials whose first epochs take longer than it believes."""
        now = self._now()
        overdue = [
            trial.overdue(now, self._of(trial.work).costs.on(trial.slot.kind))
            for trial in self._running.values()
        ]
        supposed = [timing for timing in overdue if timing is not None]
        if supposed or self._supposes:
            self._supposes = bool(supposed)
            self.model.suppose(supposed)
            self._forget()

    def _is_late(self, trial: RunningTrial) -> bool:
        """Whether a trial, begun anew on the other kind, would end far earlier than it does."""
        self._plan()
        kind = trial.slot.kind
        other: Kind = "gpu" if kind == "cpu" else "cpu"
        believed = self._of(trial.work)
        if not self._used[other] or self.model.n_timings[other] == 0:
            return False
        ahead_s = [self._left_s(each) for each in self._on(other)]
        ahead_s += [self._of(work).seconds(other) for work in self._waiting]
        n_other = len(self._used[other])
        wait_s = 0.0 if len(ahead_s) < n_other else sum(ahead_s) / n_other
        there_s = wait_s + believed.seconds(other) + _RESTART_S
        left_s = self._left_s(trial)
        if left_s < _LATE * math.exp(_HOPE * believed.costs.spread) * there_s:
            return False
        # While others take as long it delays nobody.
        is_last = left_s > _LAST * self._horizon_s()
        return is_last or trial.slot.name not in self._used[kind]

    def _on(self, kind: Kind) -> list[RunningTrial]:
        return [trial for trial in self._running.values() if trial.slot.kind == kind]

    def _left_s(self, trial: RunningTrial) -> float:
        cost = self._of(trial.work).costs.on(trial.slot.kind)
        return trial.left_s(self._now(), cost, trial.work.epochs * self._share)

    # --- what is believed ---

    @property
    def _share(self) -> float:
        """Epochs that trials train, in parts of those that they may."""
        return self._epochs[0] / self._epochs[1]

    def _note(self, work: Work | None) -> None:
        if work is None or work.key in self._seen:
            return
        self._seen.add(work.key)
        self._typical.append(work)
        self._to_come = work.to_come
        self._is_planned = False

    def _learn(self, timing: Timing) -> None:
        self.timings.append(timing)
        self.model.learn(timing)
        self._forget()

    def _forget(self) -> None:
        self._believed.clear()
        self._is_planned = False

    def _of(self, work: Work) -> _Believed:
        if work.key not in self._believed:
            self._believe([work])
        return self._believed[work.key]

    def _believe(self, works: Sequence[Work]) -> None:
        share = self._share
        costs_of_all = self.model.of([work.params for work in works])
        for work, costs in zip(works, costs_of_all, strict=True):
            epochs = work.epochs * share
            pair = Pair(costs.cpu.seconds(epochs), costs.gpu.seconds(epochs))
            self._believed[work.key] = _Believed(costs, pair)

    def _plan(self) -> None:
        """Choose the slots that are used, and the gain from which a trial belongs on a GPU."""
        now = self._now()
        if self._is_planned or now < self._plan_at:
            return
        self._is_planned = True
        works = [*self._typical, *self._waiting]
        unknown = [work for work in works if work.key not in self._believed]
        if unknown:
            self._believe(unknown)

        self._mode, split = self._best_mode()
        self._gain = split.gain
        self._ends_at = now + split.seconds
        names: dict[Kind, list[str]] = {"cpu": [], "gpu": []}
        for slot in self.slots:
            if self._is_used(slot):
                names[slot.kind].append(slot.name)
        if self._is_cautious():
            del names["cpu"][FIRST_CORES:]
        self._used = names
        # Made anew with each timing only while there are few.
        is_early = min(self.model.n_timings.values()) < _SURE
        self._plan_at = now if is_early else now + 0.01 * split.seconds

    def _is_cautious(self) -> bool:
        """Whether cores are kept free: trials may be long there, and GPUs have not been timed."""
        if self.model.n_timings["cpu"] == 0:
            return True
        if self.model.n_timings["gpu"] > 0:
            return False
        seconds = [self._of(work).pair.cpu for work in self._typical]
        return bool(seconds) and statistics.median(seconds) > _SHORT_S

    def _best_mode(self) -> tuple[Mode, Split]:
        typical = [self._of(work) for work in self._typical]
        waiting = [self._of(work) for work in self._waiting]

        def split(slots: Sequence[Slot], hoped: Kind | None = None) -> Split:
            def pair(believed: _Believed) -> Pair:
                return believed.pair if hoped is None else believed.hoped(hoped)

            # Where nobody knows how many are to come, the search is long.
            to_come = 10 * len(self.slots) if self._to_come is None else self._to_come
            load = Load(
                waiting=[pair(each) for each in waiting],
                typical=[pair(each) for each in typical],
                to_come=to_come,
                busy=self._busy_s(slots),
            )
            return best_split(load)

        gpus = [slot for slot in self.slots if slot.kind == "gpu"]
        cores = [slot for slot in self.slots if slot.kind == "cpu"]
        beside = [slot for slot in cores if not self._feeds(slot)]
        both = split([*gpus, *beside])
        if min(self.model.n_timings.values()) < _ENOUGH:
            return "timing", both

        if self._to_come == 0 and self._mode != "timing":
            # The last trials say nothing of the search: its plan stays as it was.
            used = {"cpu": cores, "gpu": gpus, "both": [*gpus, *beside]}[self._mode]
            return self._mode, split(used)

        one: dict[Mode, Split] = {"cpu": split(cores), "gpu": split(gpus)}
        mode: Mode = "cpu" if one["cpu"].seconds < one["gpu"].seconds else "gpu"
        other: Kind = "gpu" if mode == "cpu" else "cpu"
        # Given up only where it does not pay even if it is faster than is believed.
        hoped = split([*gpus, *beside], other)
        if min(both.seconds, hoped.seconds) < _WORTH_BOTH * one[mode].seconds:
            return "both", both
        return mode, one[mode]

    def _busy_s(self, slots: Sequence[Slot]) -> dict[Kind, list[float]]:
        """Return by kind the seconds until each of the slots is free."""
        lefts = {trial.slot.name: self._left_s(trial) for trial in self._running.values()}
        busy: dict[Kind, list[float]] = {"cpu": [], "gpu": []}
        for slot in slots:
            busy[slot.kind].append(lefts.get(slot.name, 0.0))
        return busy

    def _is_used(self, slot: Slot) -> bool:
        if slot.kind == "gpu":
            return self._mode != "cpu"
        if self._mode == "cpu":
            return True
        return self._mode != "gpu" and not self._feeds(slot)

    def _feeds(self, slot: Slot) -> bool:
        """Whether a CPU slot is on a core that feeds a GPU."""
        return slot.kind == "cpu" and not self._feeding.isdisjoint(slot.cores)


def _is_free(slot: Slot, busy: Sequence[Slot]) -> bool:
    """Whether no slot of the other kind is at work on its cores."""
    others = [each for each in busy if each.kind != slot.kind]
    return all(set(slot.cores).isdisjoint(each.cores) for each in others)
