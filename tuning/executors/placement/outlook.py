"""`Outlook`: what trials are believed to take on each kind, kept until something new is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tuning.executors.devices.slot import Kind
from tuning.executors.placement.features import Vector
from tuning.executors.placement.model import CostModel, Costs, Timing
from tuning.executors.placement.work import Work

_HOPE = 1.5  # standard deviations by which a kind may be faster before it is given up


class Believed(NamedTuple):
    """What one trial is believed to take.

    Attributes:
        costs: By kind.
        cpu_s, gpu_s: Seconds of the whole trial on each.
    """

    costs: Costs
    cpu_s: float
    gpu_s: float

    @property
    def gain(self) -> float:
        """How many times faster it is on a GPU."""
        return self.cpu_s / self.gpu_s

    def seconds(self, kind: Kind) -> float:
        """Return the seconds on one kind."""
        return self.cpu_s if kind == "cpu" else self.gpu_s


@dataclass(frozen=True)
class Several:
    """The same of several trials, as columns.

    Attributes:
        cpu_s, gpu_s: (n,) seconds of each on each kind.
        spreads: (n,) standard deviation of the logarithm of their ratio.
    """

    cpu_s: Vector
    gpu_s: Vector
    spreads: Vector

    @property
    def gains(self) -> Vector:
        """How many times faster each is on a GPU; (n,)."""
        return self.cpu_s / self.gpu_s

    def on(self, kind: Kind) -> Vector:
        """Return the seconds on one kind; (n,)."""
        return self.cpu_s if kind == "cpu" else self.gpu_s

    def hoped(self, kind: Kind) -> Vector:
        """Return the seconds on a kind if it is faster than is believed; (n,)."""
        return self.on(kind) * np.exp(-_HOPE * self.spreads)


class Outlook:
    """Answers for trials by their key, and forgets with each timing.

    Attributes:
        model: What epochs cost.
        timings: All that it has learned from.

    Args:
        model: Has learned nothing, or from earlier searches.
    """

    def __init__(self, model: CostModel) -> None:
        self.model = model
        self.timings: list[Timing] = []
        self._rows: dict[str, Vector] = {}
        self._believed: dict[str, Believed] = {}
        self._epochs = [1.0, 1.0]  # trained and allowed, of ended trials

    @property
    def share(self) -> float:
        """Epochs that trials train, in parts of those that they may."""
        return self._epochs[0] / self._epochs[1]

    def learn(self, timing: Timing) -> None:
        """Take a timing in."""
        self.timings.append(timing)
        self.model.learn(timing)
        self._believed.clear()

    def suppose(self, timings: Sequence[Timing]) -> None:
        """Take timings in until others are supposed."""
        self.model.suppose(timings)
        self._believed.clear()

    def note_end(self, work: Work, n_epochs: int) -> None:
        """Note how many epochs a trial has trained; its row is forgotten."""
        self._epochs[0] += (n_epochs or work.epochs) / work.epochs
        self._epochs[1] += 1

    def of(self, work: Work) -> Believed:
        """Return what is believed of a trial."""
        if work.key not in self._believed:
            self.prepare([work])
        return self._believed[work.key]

    def of_all(self, works: Sequence[Work]) -> Several:
        """Return what is believed of several."""
        self.prepare(works)
        found = [self._believed[work.key] for work in works]
        return Several(
            np.array([each.cpu_s for each in found]),
            np.array([each.gpu_s for each in found]),
            np.array([each.costs.spread for each in found]),
        )

    def prepare(self, works: Sequence[Work]) -> None:
        """Predict what is not known of these at once."""
        unknown = [work for work in works if work.key not in self._believed]
        if not unknown:
            return
        beliefs = self.model.predict(np.array([self._row_of(work) for work in unknown]))
        share = self.share
        for work, costs in zip(unknown, beliefs.each(), strict=True):
            epochs = work.epochs * share
            believed = Believed(costs, costs.cpu.seconds(epochs), costs.gpu.seconds(epochs))
            self._believed[work.key] = believed

    def _row_of(self, work: Work) -> Vector:
        row = self._rows.get(work.key)
        if row is None:
            row = self.model.row_of(work.params)
            self._rows[work.key] = row
        return row
