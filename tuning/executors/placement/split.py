"""How the trials that are left are best shared between two kinds of slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuning.executors.devices.slot import Kind
from tuning.executors.placement.features import Vector

_OVERSHOOT = 0.5  # of a trial: so much later than all others the last one ends


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
        cpu_s, gpu_s: (n,) seconds of each trial on a core, and on a GPU.
        counts: (n,) how many trials like it there are.
        are_sure: (n,) whether a trial's own seconds are known well enough to say that it is the
            longest; of others only the sum counts.
        n_slots: Of each kind.
    """

    cpu_s: Vector
    gpu_s: Vector
    counts: Vector
    are_sure: NDArray[np.bool_]
    n_slots: Mapping[Kind, int]


def best_split(load: Load) -> Split:
    """Return the sharing under which all is done first: from which gain on trials run on GPUs.

    Trials are taken as what flows, but for the end: the last one ends after the others.
    """
    if not load.n_slots["gpu"] or not load.n_slots["cpu"]:
        only: Kind = "gpu" if load.n_slots["gpu"] else "cpu"
        seconds = load.gpu_s if only == "gpu" else load.cpu_s
        ends = _ends_s(seconds, load.counts, seconds * load.are_sure, load.n_slots[only])
        return Split(float(ends[-1]), 0.0 if only == "gpu" else np.inf)

    gains = load.cpu_s / load.gpu_s
    order = np.argsort(gains)
    counts = load.counts[order]
    cpu_s = load.cpu_s[order]
    gpu_s = load.gpu_s[order]
    sure = load.are_sure[order]
    # After i of them in this order, those before run on cores, the others on GPUs.
    on_cpu = _ends_s(cpu_s, counts, cpu_s * sure, load.n_slots["cpu"])
    on_gpu = _ends_s(gpu_s[::-1], counts[::-1], (gpu_s * sure)[::-1], load.n_slots["gpu"])[::-1]
    ends = np.maximum(on_cpu, on_gpu)
    best = int(ends.argmin())
    return Split(float(ends[best]), _between(gains[order], best))


def _between(gains: Vector, n_on_cpu: int) -> float:
    """Return the gain in the middle between the last trial on a core and the first on a GPU."""
    if n_on_cpu == 0:
        return 0.0
    if n_on_cpu == len(gains):
        return float(np.inf)
    return float(np.sqrt(gains[n_on_cpu - 1] * gains[n_on_cpu]))


def _ends_s(seconds: Vector, counts: Vector, sure_s: Vector, n_slots: int) -> Vector:
    """Return when the last of the first 0, 1, … n of these trials ends on slots of one kind; (n+1,)

    Args:
        seconds, counts: (n,) of the trials.
        sure_s: (n,) that each takes at least.
        n_slots: Of that kind.
    """
    work = np.concatenate([[0.0], np.cumsum(seconds * counts)])
    squares = np.concatenate([[0.0], np.cumsum(seconds**2 * counts)])
    longest = np.concatenate([[0.0], np.maximum.accumulate(sure_s)])
    n_trials = np.concatenate([[0.0], np.cumsum(counts)])
    typical = squares / np.maximum(work, 1e-12)  # of what runs at a moment
    # With no more trials than slots none waits for another.
    crowd = np.clip(n_trials / n_slots - 1, 0.0, 1.0)
    last = _OVERSHOOT * (1 - 1 / n_slots) * crowd * typical
    even: Vector = work / n_slots + last
    ends: Vector = np.maximum(even, longest)
    return ends
