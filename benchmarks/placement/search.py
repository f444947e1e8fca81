"""`PlannedSearch`: a search on a pretended box and a clock of its own, planned by `Placement`."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.placement.boxes import Box, Study, Trial
from tuning.executors.devices.slot import Kind, Slot
from tuning.executors.placement.features import Vector
from tuning.executors.placement.model import Beliefs, Timing
from tuning.executors.placement.policy import Placement

CHECKPOINT_S = 60.0
"""A running trial keeps one so often."""


@dataclass(order=True)
class _Happening:
    at: float
    order: int
    word: str = field(compare=False)
    job: str = field(compare=False)
    figures: tuple[float, int] = field(compare=False, default=(0.0, 0))


class _KnowsAll:
    """In the place of a cost model: the seconds as they are."""

    def __init__(self, study: Study) -> None:
        self._costs = [trial.costs for trial in study.trials]
        self._places = {id(trial.work.params): i for i, trial in enumerate(study.trials)}
        self.n_timings = {"cpu": 99, "gpu": 99}
        self.longest_setup_s = {"cpu": 3.0, "gpu": 8.0}

    def learn(self, timing: Any) -> None:
        """Know it already."""

    def suppose(self, timings: Any) -> None:
        """Know better."""

    def row_of(self, params: Mapping[str, Any]) -> Vector:
        """Return which trial it is."""
        return np.array([float(self._places[id(params)])])

    def predict(self, rows: Vector) -> Beliefs:
        """Return the costs as they are."""
        costs = [self._costs[int(row[0])] for row in rows]
        return Beliefs(
            cpu_setup_s=np.array([each["cpu"].setup_s for each in costs]),
            gpu_setup_s=np.array([each["gpu"].setup_s for each in costs]),
            cpu_s=np.array([each["cpu"].epoch_s for each in costs]),
            gpu_s=np.array([each["gpu"].epoch_s for each in costs]),
            spreads=np.zeros(len(costs)),
            cpu_spreads=np.zeros(len(costs)),
            gpu_spreads=np.zeros(len(costs)),
        )


class PlannedSearch:
    """A search on a pretended box, planned by `Placement`.

    Attributes:
        placement: The one under test.
        planning_s: Real seconds that it has computed.
        n_moved: Trials that were begun anew elsewhere.
        places: Where each trial has ended, by its key.
    """

    def __init__(
        self,
        box: Box,
        study: Study,
        *,
        knows_all: bool = False,
        timings: Sequence[Timing] = (),
    ) -> None:
        self._study = study
        self._slots = box.slots
        self._at = 0.0
        self.placement = Placement(self._slots, study.domains, timings, now=lambda: self._at)
        if knows_all:
            self.placement.outlook.model = _KnowsAll(study)  # type: ignore[assignment]
        self.planning_s = 0.0
        self.n_moved = 0
        self.places: dict[str, Kind] = {}
        self._asked = 0
        self._is_news = False
        self._waiting: list[Trial] = []
        self._running: dict[str, tuple[Trial, Slot, float]] = {}
        self._kept: dict[str, int] = {}  # epochs in the last checkpoint, by trial
        self._coming: list[_Happening] = []
        self._counter = itertools.count()

    def seconds(self, tick_s: float) -> float:
        """Run it; return when the last trial ends on its clock.

        Args:
            tick_s: Between looks at the trials that run.
        """
        self._post(tick_s, "tick", "")
        self._advance()
        ended_at = 0.0
        while self._running or self._waiting:
            happening = heapq.heappop(self._coming)
            self._at = happening.at
            began = time.process_time()
            if happening.word == "tick":
                self._move()
                self._post(tick_s, "tick", "")
            elif happening.job in self._running:
                self._take_in(happening)
                if happening.word == "end":
                    ended_at = self._at
            self.planning_s += time.process_time() - began
            self._advance()
        return ended_at

    def _take_in(self, happening: _Happening) -> None:
        seconds, fits = happening.figures
        if happening.word == "epoch":
            self.placement.report(happening.job, seconds, fits)
        else:
            trial, slot, _ = self._running.pop(happening.job)
            self.places[trial.work.key] = slot.kind
            self.placement.end(happening.job, seconds)

    def _move(self) -> None:
        for job in self.placement.moves():
            trial, slot, began = self._running.pop(job)
            self.placement.end(job, None)
            self._keep_checkpoint(trial, slot, self._at - began)
            self._waiting.insert(0, trial)
            self.n_moved += 1

    def _advance(self) -> None:
        began = time.process_time()
        while True:
            self._ask()
            if not self._give():
                break
        self.planning_s += time.process_time() - began

    def _ask(self) -> None:
        """Ask for trials as a search does: so many are open at a time."""
        most = self._study.open_per_slot * len(self.placement.used(self._slots))
        most += self.placement.ahead
        while self._asked < len(self._study.trials):
            if len(self._running) + len(self._waiting) >= most:
                break
            self._waiting.append(self._study.trials[self._asked])
            self._asked += 1
            self._is_news = True

    def _give(self) -> bool:
        """Give out what waits; return whether trials have come or gone since the last time."""
        is_news = self._is_news
        self._is_news = False
        while self._waiting:
            busy = [slot for _, slot, _ in self._running.values()]
            names = {slot.name for slot in busy}
            idle = [slot for slot in self._slots if slot.name not in names]
            choice = self.placement.choose(idle, busy, [each.work for each in self._waiting])
            if choice is None:
                break
            self._begin(self._waiting.pop(choice.job), idle[choice.slot])
            is_news = True
        return is_news

    def _keep_checkpoint(self, trial: Trial, slot: Slot, seconds: float) -> None:
        """Keep what a trial that is ended has at its last full `CHECKPOINT_S`."""
        cost = trial.costs[slot.kind]
        kept_s = seconds // CHECKPOINT_S * CHECKPOINT_S
        epochs = int((kept_s - cost.setup_s) / cost.epoch_s)
        self._kept[trial.work.key] = self._kept.get(trial.work.key, 0) + max(0, epochs)

    def _begin(self, trial: Trial, slot: Slot) -> None:
        job = f"{trial.work.key}-{next(self._counter)}"
        self.placement.begin(job, trial.work, slot)
        self._running[job] = trial, slot, self._at
        cost = trial.costs[slot.kind]
        epochs = trial.epochs - self._kept.get(trial.work.key, 0)
        told = 0
        for epoch in sorted({1, 2, *(epochs * quarter // 4 for quarter in (1, 2, 3, 4))}):
            if told < epoch <= epochs:
                seconds = cost.seconds(epoch)
                self._post(seconds, "epoch", job, (seconds, epoch - told))
                told = epoch
        total = cost.seconds(epochs)
        self._post(total, "end", job, (total, 0))

    def _post(
        self, after_s: float, word: str, job: str, figures: tuple[float, int] = (0.0, 0)
    ) -> None:
        order = next(self._counter)
        heapq.heappush(self._coming, _Happening(self._at + after_s, order, word, job, figures))
