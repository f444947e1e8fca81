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
_RATIO_SLOPE = -0.5  # of a GPU's part of a core's time, over the logarithm of a size
_RATIO_SPREADS = 0.8  # of the difference of the kinds, in parts of the features' own
_RATIO_SPREAD = 2.0  # of its constant: GPUs are 50 times slower, or 50 times faster
_MISFIT = 0.1  # by so much a curve that bends is missed, in the logarithm
_LEAST_S = 1e-6


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
    """

    cpu: Cost
    gpu: Cost
    spread: float = 0.0

    def on(self, kind: Kind) -> Cost:
        """Return the cost on one kind."""
        return self.cpu if kind == "cpu" else self.gpu


class CostModel:
    """Learns from timings; `of` predicts.

    Attributes:
        n_timings: How many there were of each kind.

    Args:
        domains: The study's parameters by name.
    """

    def __init__(self, domains: Mapping[str, Any]) -> None:
        self.features = Features(domains)
        self.n_timings: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        spreads = self.features.spreads
        of_ratio = spreads * _RATIO_SPREADS
        of_ratio[0] = _RATIO_SPREAD
        # A GPU gains with size: a step on it costs much the same as long as it is launched.
        means = np.concatenate([np.zeros_like(spreads), _RATIO_SLOPE * self.features.are_sizes])
        precision = np.diag(1 / np.concatenate([spreads, of_ratio]) ** 2)
        self._learned = _Sums(precision, precision @ means)
        self._supposed: Sequence[Timing] = ()
        self._setups = {kind: [math.log(SECONDS_BEFORE[kind][1])] for kind in KINDS}
        self._level = math.log(SECONDS_BEFORE["cpu"][0])  # what the line is measured from
        self._solution: tuple[Vector, Vector] | None = None

    def learn(self, timing: Timing) -> None:
        """Take a timing in for good."""
        self.n_timings[timing.kind] += 1
        self._learned = self._with(self._learned, timing)
        if timing.setup_s is not None:
            self._setups[timing.kind].append(math.log(max(_LEAST_S, timing.setup_s)))
        self._solution = None

    def suppose(self, timings: Sequence[Timing]) -> None:
        """Take timings in until others are supposed."""
        self._supposed = timings
        self._solution = None

    def of(self, points: Sequence[Params]) -> list[Costs]:
        """Return what trials cost."""
        if self._solution is None:
            self._solution = self._solve()
        weights, covariance = self._solution
        rows = np.array([self.features.of(params) for params in points])
        n = rows.shape[1]
        on_cpu = self._level + rows @ weights[:n]
        ratios = rows @ weights[n:]
        spreads = np.sqrt(np.einsum("ij,jk,ik->i", rows, covariance[n:, n:], rows).clip(0.0))
        cpu_s = np.exp(on_cpu.clip(-20.0, 20.0))
        gpu_s = np.exp((on_cpu + ratios).clip(-20.0, 20.0))
        setups = {kind: self._setup_s(kind) for kind in KINDS}
        return [
            Costs(Cost(setups["cpu"], float(cpu)), Cost(setups["gpu"], float(gpu)), float(spread))
            for cpu, gpu, spread in zip(cpu_s, gpu_s, spreads, strict=True)
        ]

    def _setup_s(self, kind: Kind) -> float:
        """Return the seconds of a set-up: the middle of those that were measured."""
        heights = self._setups[kind]
        return math.exp(statistics.median(heights[1:] or heights))

    def _with(self, sums: _Sums, timing: Timing) -> _Sums:
        point = self.features.of(timing.params)
        row = np.concatenate([point, point if timing.kind == "gpu" else np.zeros_like(point)])
        weight = 1 / (timing.noise**2 + _MISFIT**2)
        height = math.log(max(_LEAST_S, timing.epoch_s)) - self._level
        return _Sums(
            sums.precision + weight * np.outer(row, row), sums.moment + weight * height * row
        )

    def _solve(self) -> tuple[Vector, Vector]:
        sums = self._learned
        for timing in self._supposed:
            sums = self._with(sums, timing)
        covariance: Vector = np.linalg.inv(sums.precision).astype(np.float64)
        return covariance @ sums.moment, covariance


class _Sums(NamedTuple):
    """What a regression keeps of its observations."""

    precision: Vector
    moment: Vector
