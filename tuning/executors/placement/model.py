"""`CostModel`: what a trial costs on each kind of slot, from what others have cost.

Bayesian linear regression of the logarithm of the seconds of an epoch on a study's parameters: one
line for CPU cores, and for GPUs the same line plus a difference, so that a trial that was timed on
one kind tells something of the other. What is believed beforehand is weak, and some ten trials say
more than it does.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tuning.executors.devices.slot import Kind
from tuning.executors.placement.features import Features, Vector
from tuning.trial import Params

KINDS: tuple[Kind, Kind] = ("cpu", "gpu")
SECONDS_BEFORE = {"cpu": (0.3, 0.5), "gpu": (0.5, 2.0)}
"""Seconds of an epoch and of a set-up, where nothing was measured."""
_RATIO_SPREADS = 0.8  # of the difference of the kinds, in parts of the features' own
_RATIO_SPREAD = 2.0  # of its constant: GPUs are 50 times slower, or 50 times faster
_MISFIT = 0.1  # by so much a curve that bends is missed, in the logarithm
_LEAST_S = 1e-6


def other_kind(kind: Kind) -> Kind:
    """Return the kind that it is not."""
    return "gpu" if kind == "cpu" else "cpu"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What a trial has cost.

    Attributes:
        kind: Of its slot.
        params: Of the trial.
        epoch_s: Seconds of one epoch.
        setup_s: Seconds before the first; None: not known.
        noise: Standard deviation of the logarithm of `epoch_s`.
    """

    kind: Kind
    params: Params
    epoch_s: float
    setup_s: float | None = None
    noise: float = 0.1


class Cost(NamedTuple):
    """What a trial is believed to cost on one kind of slot.

    Attributes:
        setup_s: Seconds before its first epoch.
        epoch_s: Seconds of an epoch.
    """

    setup_s: float
    epoch_s: float

    def seconds(self, epochs: float) -> float:
        """Return the seconds of a trial of so many epochs."""
        return self.setup_s + epochs * self.epoch_s


class Costs(NamedTuple):
    """What a trial is believed to cost.

    Attributes:
        cpu, gpu: On each kind.
        spread: Standard deviation of the logarithm of the ratio of their epochs.
        cpu_spread, gpu_spread: Of the logarithm of an epoch on each.
    """

    cpu: Cost
    gpu: Cost
    spread: float = 0.0
    cpu_spread: float = 0.0
    gpu_spread: float = 0.0

    def on(self, kind: Kind) -> Cost:
        """Return the cost on one kind."""
        return self.cpu if kind == "cpu" else self.gpu

    def spread_on(self, kind: Kind) -> float:
        """Return how uncertain an epoch on one kind is."""
        return self.cpu_spread if kind == "cpu" else self.gpu_spread


class Beliefs(NamedTuple):
    """What several trials are believed to cost, in step with the points asked about.

    Attributes:
        cpu_setup_s, gpu_setup_s: (n,) seconds before the first epoch.
        cpu_s, gpu_s: (n,) seconds of an epoch.
        spreads, cpu_spreads, gpu_spreads: (n,) see `Costs`.
    """

    cpu_setup_s: Vector
    gpu_setup_s: Vector
    cpu_s: Vector
    gpu_s: Vector
    spreads: Vector
    cpu_spreads: Vector
    gpu_spreads: Vector

    def each(self) -> list[Costs]:
        """Return the same, trial by trial."""
        columns = zip(*(column.tolist() for column in self), strict=True)
        return [
            Costs(Cost(cpu_setup_s, cpu_s), Cost(gpu_setup_s, gpu_s), *spreads)
            for cpu_setup_s, gpu_setup_s, cpu_s, gpu_s, *spreads in columns
        ]


class CostModel:
    """Learns from timings; `of` predicts.

    Attributes:
        n_timings: How many there were of each kind.
        longest_setup_s: Of those that were timed, by kind; none of a kind that was not.

    Args:
        domains: The study's parameters by name.
    """

    def __init__(self, domains: Mapping[str, Any]) -> None:
        self.features = Features(domains)
        self.n_timings: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self.longest_setup_s: dict[Kind, float] = {}
        spreads = self.features.spreads
        of_ratio = spreads * _RATIO_SPREADS
        of_ratio[0] = _RATIO_SPREAD
        means = np.concatenate([self.features.slopes, self.features.ratio_slopes])
        self._learned = _Line(means, np.diag(np.concatenate([spreads, of_ratio]) ** 2))
        self._line = self._learned  # with what is supposed
        self._setups = {kind: [math.log(SECONDS_BEFORE[kind][1])] for kind in KINDS}
        self._level = math.log(SECONDS_BEFORE["cpu"][0])  # what the line is measured from

    def row_of(self, params: Params) -> Vector:
        """Return the (n,) figures of a point, for `predict`."""
        return self.features.of(params)

    def learn(self, timing: Timing) -> None:
        """Take a timing in for good; what was supposed is forgotten."""
        self.n_timings[timing.kind] += 1
        self._learned = self._line = self._with(self._learned, timing)
        if timing.setup_s is not None:
            self.longest_setup_s[timing.kind] = max(
                self.longest_setup_s.get(timing.kind, 0.0), timing.setup_s
            )
            self._setups[timing.kind].append(math.log(max(_LEAST_S, timing.setup_s)))

    def suppose(self, timings: Sequence[Timing]) -> None:
        """Take timings in until others are supposed."""
        self._line = self._learned
        for timing in timings:
            self._line = self._with(self._line, timing)

    def of(self, points: Sequence[Params]) -> list[Costs]:
        """Return what trials cost."""
        beliefs = self.predict(np.array([self.row_of(params) for params in points]))
        return beliefs.each()

    def predict(self, rows: Vector) -> Beliefs:
        """Return what trials cost.

        Args:
            rows: (n, figures) of their points, see `row_of`.
        """
        n = rows.shape[1]
        weights, covariance = self._line
        on_cpu = self._level + rows @ weights[:n]
        ratios = rows @ weights[n:]
        of_cpu = _variances(rows, covariance[:n, :n])
        of_ratio = _variances(rows, covariance[n:, n:])
        of_both = _variances(rows, covariance[:n, n:] + covariance[n:, :n])
        return Beliefs(
            cpu_setup_s=np.full(len(rows), self._setup_s("cpu")),
            gpu_setup_s=np.full(len(rows), self._setup_s("gpu")),
            cpu_s=np.exp(on_cpu.clip(-20.0, 20.0)),
            gpu_s=np.exp((on_cpu + ratios).clip(-20.0, 20.0)),
            spreads=np.sqrt(of_ratio.clip(0.0)),
            cpu_spreads=np.sqrt(of_cpu.clip(0.0)),
            gpu_spreads=np.sqrt((of_cpu + of_ratio + of_both).clip(0.0)),
        )

    def _setup_s(self, kind: Kind) -> float:
        """Return the seconds of a set-up: the middle of those that were measured."""
        heights = self._setups[kind]
        return math.exp(statistics.median(heights[1:] or heights))

    def _with(self, line: _Line, timing: Timing) -> _Line:
        point = self.row_of(timing.params)
        row = np.concatenate([point, point if timing.kind == "gpu" else np.zeros_like(point)])
        height = math.log(max(_LEAST_S, timing.epoch_s)) - self._level
        return line.through(row, height, timing.noise**2 + _MISFIT**2)


def _variances(rows: Vector, covariance: Vector) -> Vector:
    """Return the variance of each row's prediction; (n,)."""
    variances: Vector = ((rows @ covariance) * rows).sum(axis=1)
    return variances


class _Line(NamedTuple):
    """What is believed of the weights of a regression."""

    means: Vector
    covariance: Vector

    def through(self, row: Vector, height: float, variance: float) -> _Line:
        """Return what is believed after one more observation."""
        spread = self.covariance @ row
        pull = spread / (variance + row @ spread)
        return _Line(
            self.means + pull * (height - row @ self.means),
            self.covariance - np.outer(pull, spread),
        )
