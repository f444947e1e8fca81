"""`Placement`: which waiting job a free slot is given, on a box with CPU and GPU slots.

The first trials are timed where they run: none is run only to be timed. A free slot is given the
waiting trial that gains most there. It is left idle where the trial would be done earlier by
waiting for the other kind, and does not delay the end of the search where it is used. A trial that
turns out to be far better off on the other kind is begun anew there.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from tuning.executors.devices.slot import Kind, Slot
from tuning.executors.placement.features import Vector
from tuning.executors.placement.model import KINDS, CostModel, Timing, other_kind
from tuning.executors.placement.moving import RESTART_S, Situation, job_to_move
from tuning.executors.placement.outlook import Outlook, Several
from tuning.executors.placement.running import RunningTrial
from tuning.executors.placement.split import Load, Split, best_split
from tuning.executors.placement.work import Work

Mode: TypeAlias = Literal["timing", "cpu", "gpu", "both"]
"""Which slots are used; "timing" until both kinds were timed."""

_ENOUGH = 4  # timings of each kind before one of them is given up
_SURE = 10  # timings of each kind before the plan is made less often
_SURE_SPREAD = 0.5  # of a trial's ratio, up to which it may be the longest of all
_TYPICAL = 48  # trials that the split is made for
_WORTH_BOTH = 0.95  # two kinds have to be done in this part of the time of the better one
_BAND = 1.25  # trials whose gain is so near the limit may go to either kind


class Choice(NamedTuple):
    """A job for a slot: their places in the sequences that `choose` was given."""

    slot: int
    job: int


class Placement:
    """Decides for one executor; single-threaded, and told of everything that happens to its jobs.

    Attributes:
        outlook: What trials take.

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
        self.outlook = Outlook(CostModel(domains))
        self._now = now
        self._feeding = {core for slot in slots if slot.kind == "gpu" for core in slot.cores}
        self._running: dict[str, RunningTrial] = {}
        self._typical: deque[Work] = deque(maxlen=_TYPICAL)
        self._seen: set[str] = set()
        self._avoided: dict[str, Kind] = {}  # by trial: it was too slow there
        self._n_moved: dict[str, int] = {}  # by trial
        self._to_come: int | None = None
        self._mode: Mode = "timing"
        self._told_mode: Mode = "timing"
        self._gain = 1.0  # from which a trial belongs on a GPU
        self._ends_at = 0.0
        self._waiting: list[Work] = []
        self._held = 0
        self._used: dict[Kind, list[str]] = {"cpu": [], "gpu": []}
        self._is_planned = False
        self._plan_at = 0.0  # on the clock: not made anew with each timing
        self._supposes = False
        for timing in timings:
            self._learn(timing)

    # --- which slots, which job ---

    @property
    def model(self) -> CostModel:
        """What epochs cost."""
        return self.outlook.model

    @property
    def timings(self) -> Sequence[Timing]:
        """All that was learned from."""
        return self.outlook.timings

    @property
    def mode(self) -> Mode:
        """Which slots are used, but for the last trials."""
        self._plan()
        return self._told_mode

    @property
    def gain(self) -> float:
        """Trials that gain more than this on a GPU belong there."""
        return self._gain

    def used(self, slots: Sequence[Slot]) -> tuple[Slot, ...]:
        """Return those of `slots` that trials are asked for; never none where there is one."""
        self._plan()
        names = {name for each in self._used.values() for name in each}
        return tuple(slot for slot in slots if slot.name in names) or tuple(slots)

    @property
    def ahead(self) -> int:
        """Trials that wait for a slot of their kind while one of the other kind is idle.

        So many more may be asked for: one of them may be for the idle slot.
        """
        return min(self._held, sum(map(len, self._used.values())))

    def choose(
        self, idle: Sequence[Slot], busy: Sequence[Slot], waiting: Sequence[Work | None]
    ) -> Choice | None:
        """Return which waiting job goes to which idle slot next; None: none for now.

        Args:
            idle, busy: The slots without a job, and with one.
            waiting: The jobs in the order in which they came; None of one that says nothing of
                itself, which takes the first slot that there is.
        """
        self._held = 0
        if not waiting or not idle:
            return None
        for work in waiting:
            self._note(work)
        self._waiting = [work for work in waiting if work is not None]
        self._plan()
        used = {slot.name for slot in self.used([*busy, *idle])}
        taken = {kind: _cores_of(busy, kind) for kind in KINDS}
        free = [
            place
            for place, slot in enumerate(idle)
            if slot.name in used and taken[other_kind(slot.kind)].isdisjoint(slot.cores)
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
        if not busy:
            return Choice(free[0], 0)
        self._held = len(waiting)
        return None

    def _job_for(self, kind: Kind, waiting: Sequence[Work | None]) -> int | None:
        """Return the place of the job that is best begun on a slot of this kind now.

        Jobs that gain equally stay in their order.
        """
        other = other_kind(kind)
        n_other = len(self._used[other])
        places = [
            place
            for place, work in enumerate(waiting)
            if work is not None and not (n_other and self._avoided.get(work.key) == kind)
        ]
        works = [work for place in places if (work := waiting[place]) is not None]
        if not works:
            return None
        believed = self.outlook.of_all(works)
        elsewhere = self._belong(believed, other)
        there_s = np.full(len(works), np.inf)
        if n_other:
            there_s = believed.on(other) + self._ahead_s(believed, elsewhere, other) / n_other
            shut = [self._avoided.get(work.key) == other for work in works]
            there_s[shut] = np.inf

        here_s = believed.hoped(kind)
        # Either nobody else is done with it earlier, or it belongs here and delays nothing: a
        # slot is kept for what gains there.
        pays = (here_s <= there_s) | (~elsewhere & (here_s <= self._horizon_s()))
        if self._is_curious(kind):
            pays[:] = True
        if not pays.any():
            return None
        log_gains = np.log(believed.gains)
        ranks = -log_gains if kind == "gpu" else log_gains
        ranks = np.where(pays, ranks.round(2), np.inf)
        return places[int(ranks.argmin())]

    def _ahead_s(self, believed: Several, elsewhere: Any, other: Kind) -> Any:
        """Return the seconds of what runs and waits on the other kind before each trial; (n,)."""
        running_s = sum(self._left_s(trial) for trial in self._on(other))
        queued_s = np.where(elsewhere, believed.on(other), 0.0)
        return running_s + np.cumsum(queued_s) - queued_s

    def _is_curious(self, kind: Kind) -> bool:
        """Whether a kind is tried though nothing is believed to pay there: it was hardly timed."""
        return self.model.n_timings[kind] < _ENOUGH and len(self._on(kind)) < _ENOUGH

    def _belong(self, believed: Several, kind: Kind) -> Any:
        """Return whether trials gain more on a kind than others do, not near the limit; (n,)."""
        if kind == "gpu":
            return believed.gains > self._gain * _BAND
        return believed.gains < self._gain / _BAND

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
        believed = self.outlook.of(trial.work).costs.on(trial.slot.kind)
        self.outlook.note_end(trial.work, trial.n_reports)
        self._learn(trial.final_timing(seconds, believed))

    def moves(self) -> list[str]:
        """Return the running job that shall be begun anew on the other kind.

        One at a time: where it goes there is less room for the next one.
        """
        self._suppose()
        self._plan()
        if len(self._running) == 0:
            return []
        situation = self._situation()
        job = job_to_move(situation, self._n_moved)
        if job is None:
            return []
        trial = self._running[job]
        self._n_moved[trial.work.key] = self._n_moved.get(trial.work.key, 0) + 1
        if job not in situation.in_the_way:
            self._avoided[trial.work.key] = trial.slot.kind
        return [job]

    def _situation(self) -> Situation:
        waiting = self.outlook.of_all(self._waiting)
        queued_s: dict[Kind, float] = {}
        for kind in KINDS:
            queued_s[kind] = float(waiting.on(kind)[self._belong(waiting, kind)].sum())
        return Situation(
            outlook=self.outlook,
            lefts=[(job, each, self._left_s(each)) for job, each in self._running.items()],
            n_used={kind: len(self._used[kind]) for kind in KINDS},
            used=frozenset([*self._used["cpu"], *self._used["gpu"]]),
            queued_s=queued_s,
            horizon_s=self._horizon_s(),
            in_the_way=self._in_the_way(),
            price=self._gain if self._mode == "both" and 0 < self._gain < math.inf else None,
        )

    def _in_the_way(self) -> frozenset[str]:
        """Return the jobs on cores that feed GPUs, where a trial waits for such a GPU."""
        if not self._used["gpu"] or not self._waiting:
            return frozenset()
        waits = self._belong(self.outlook.of_all(self._waiting), "gpu").any()
        if not waits or len(self._on("gpu")) == len(self._used["gpu"]):
            return frozenset()
        return frozenset(job for job, each in self._running.items() if self._feeds(each.slot))

    def _suppose(self) -> None:
        """Have the model know of trials whose first epochs take longer than it believes."""
        now = self._now()
        supposed = []
        for trial in self._running.values():
            if trial.n_reports < 2:
                kind = trial.slot.kind
                believed = self.outlook.of(trial.work).costs.on(kind)
                timing = trial.overdue(now, believed, self.model.longest_setup_s.get(kind))
                supposed += [timing] if timing else []
        if supposed or self._supposes:
            self._supposes = bool(supposed)
            self.outlook.suppose(supposed)
            self._is_planned = False

    def _on(self, kind: Kind) -> list[RunningTrial]:
        return [trial for trial in self._running.values() if trial.slot.kind == kind]

    def _left_s(self, trial: RunningTrial) -> float:
        cost = self.outlook.of(trial.work).costs.on(trial.slot.kind)
        return trial.left_s(self._now(), cost, trial.work.epochs * self.outlook.share)

    # --- the plan ---

    def _note(self, work: Work | None) -> None:
        if work is None or work.key in self._seen:
            return
        self._seen.add(work.key)
        self._typical.append(work)
        self._to_come = work.to_come
        self._is_planned = False

    def _learn(self, timing: Timing) -> None:
        self.outlook.learn(timing)
        self._is_planned = False

    def _plan(self) -> None:
        """Choose the slots that are used, and the gain from which a trial belongs on a GPU."""
        now = self._now()
        if self._is_planned or now < self._plan_at:
            return
        self._is_planned = True
        self._mode, split = self._best_mode()
        if self._to_come != 0 or self._told_mode == "timing":
            # The last trials say nothing of the search: what is told stays as it was.
            self._told_mode = self._mode
        self._gain = split.gain
        self._ends_at = now + split.seconds
        names: dict[Kind, list[str]] = {"cpu": [], "gpu": []}
        for slot in self.slots:
            if self._is_used(slot):
                names[slot.kind].append(slot.name)
        self._used = names
        # Made anew with each timing only while there are few.
        is_early = min(self.model.n_timings.values()) < _SURE
        self._plan_at = now if is_early else now + 0.01 * split.seconds

    def _best_mode(self) -> tuple[Mode, Split]:
        gpus = [slot for slot in self.slots if slot.kind == "gpu"]
        cores = [slot for slot in self.slots if slot.kind == "cpu"]
        beside = [slot for slot in cores if not self._feeds(slot)]
        left = self._trials_left()
        both = self._split(left, [*gpus, *beside])
        if min(self.model.n_timings.values()) < _ENOUGH:
            return "timing", both

        one: dict[Mode, Split] = {"cpu": self._split(left, cores), "gpu": self._split(left, gpus)}
        mode: Kind = "cpu" if one["cpu"].seconds < one["gpu"].seconds else "gpu"
        # Given up only where it does not pay even if it is faster than is believed.
        hoped = self._split(left, [*gpus, *beside], hoped=other_kind(mode))
        if min(both.seconds, hoped.seconds) < _WORTH_BOTH * one[mode].seconds:
            return "both", both
        return mode, one[mode]

    def _trials_left(self) -> tuple[Several, Vector]:
        """Return the trials that run, wait, and are like those to come; and how many of each.

        What runs is taken as what might be begun anew on the other kind.
        """
        works = [*self._waiting, *self._typical]
        # Where nobody knows how many are to come, the search is long.
        to_come = 10 * len(self.slots) if self._to_come is None else self._to_come
        counts = np.ones(len(works) + len(self._running))
        counts[len(self._waiting) : len(works)] = to_come / max(1, len(self._typical))
        believed = self.outlook.of_all(works)
        running = self._running_as_left()
        left = Several(
            np.concatenate([believed.cpu_s, running.cpu_s]),
            np.concatenate([believed.gpu_s, running.gpu_s]),
            np.concatenate([believed.spreads, running.spreads]),
        )
        return left, counts

    def _running_as_left(self) -> Several:
        trials = list(self._running.values())
        seconds: dict[Kind, Vector] = {}
        for kind in KINDS:
            seconds[kind] = np.array(
                [
                    self._left_s(each)
                    if each.slot.kind == kind
                    else self.outlook.of(each.work).seconds(kind) + RESTART_S
                    for each in trials
                ]
            )
        spreads = np.array([self.outlook.of(each.work).costs.spread for each in trials])
        return Several(seconds["cpu"] + 1e-3, seconds["gpu"] + 1e-3, spreads)

    def _split(
        self, left: tuple[Several, Vector], slots: Sequence[Slot], hoped: Kind | None = None
    ) -> Split:
        believed, counts = left
        is_left = counts > 0
        cpu_s = believed.hoped("cpu") if hoped == "cpu" else believed.cpu_s
        gpu_s = believed.hoped("gpu") if hoped == "gpu" else believed.gpu_s
        n_slots: dict[Kind, int] = {"cpu": 0, "gpu": 0}
        for slot in slots:
            n_slots[slot.kind] += 1
        load = Load(
            cpu_s=cpu_s[is_left],
            gpu_s=gpu_s[is_left],
            counts=counts[is_left],
            are_sure=believed.spreads[is_left] < _SURE_SPREAD,
            n_slots=n_slots,
        )
        return best_split(load)

    def _is_used(self, slot: Slot) -> bool:
        if slot.kind == "gpu":
            return self._mode != "cpu"
        if self._mode == "cpu":
            return True
        return self._mode != "gpu" and not self._feeds(slot)

    def _feeds(self, slot: Slot) -> bool:
        """Whether a CPU slot is on a core that feeds a GPU."""
        return slot.kind == "cpu" and not self._feeding.isdisjoint(slot.cores)


def _cores_of(slots: Sequence[Slot], kind: Kind) -> set[int]:
    return {core for slot in slots if slot.kind == kind for core in slot.cores}
