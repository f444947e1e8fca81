"""How the trials that are left are best shared between two kinds of slots."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tuning.executors.devices.slot import Kind

_MOST = 200
"""Trials that are laid out; of more than these the time is in proportion."""
_LIMITS = 12
"""Gains that are tried."""


class Pair(NamedTuple):
    """Seconds of one trial on a CPU core, and on a GPU."""

    cpu: float
    gpu: float

    @property
    def gain(self) -> float:
        """How many times faster it is on a GPU."""
        return self.cpu / self.gpu

    def on(self, kind: Kind) -> float:
        """Return the seconds on one kind."""
        return self.cpu if kind == "cpu" else self.gpu


@dataclass(frozen=True)
class Split:
    """A sharing.

    Attributes:
        seconds: Until the last trial has ended.
        gain: Trials that gain more than this belong on a GPU, those that gain less on a core.
    """

    seconds: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is to be shared.

    Attributes:
        waiting: Trials that are known.
        typical: Trials like those that are to come.
        to_come: How many those are.
        busy: By kind the seconds until each slot that is used is free.
    """

    waiting: Sequence[Pair]
    typical: Sequence[Pair]
    to_come: int
    busy: Mapping[Kind, Sequence[float]]


def best_split(load: Load) -> Split:
    """Return the sharing under which all is done first.

    Some limits of the gain are tried, and the trials laid out on the slots for each. Trials cannot
    be cut: a long one on a slow slot may end after all others.
    """
    n_laid = min(load.to_come, _MOST) if load.typical else 0
    laid = [*load.waiting, *(load.typical[i % len(load.typical)] for i in range(n_laid))]
    scale = max(1.0, load.to_come / _MOST)
    limits = [0.0, math.inf]
    gains = sorted({pair.gain for pair in laid})
    if all(load.busy.values()) and gains:
        # From the least up: "from this one on", so none is left on the cores by 0.
        limits += [gain * 1.000001 for gain in gains[:: math.ceil(len(gains) / _LIMITS)]]
    elif not load.busy["gpu"]:
        limits = [math.inf]
    else:
        limits = [0.0]
    ends = {limit: _end_s(laid, load.busy, limit) for limit in limits}
    limit = min(limits, key=lambda limit: ends[limit])
    return Split(scale * ends[limit], limit)


def _end_s(pairs: Sequence[Pair], busy: Mapping[Kind, Sequence[float]], limit: float) -> float:
    """Return when the last trial ends, each on the slot of its kind that is free first."""
    ends = {kind: sorted(each) for kind, each in busy.items()}
    last = max((end for each in ends.values() for end in each), default=0.0)
    for pair in pairs:
        kind: Kind = "gpu" if pair.gain >= limit else "cpu"
        end = ends[kind][0] + pair.on(kind)
        heapq.heapreplace(ends[kind], end)
        last = max(last, end)
    return last
