"""From the losses of a sweep to suggestions; NumPy and SciPy alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuning.data.dataset import Array
from tuning.lr_range.plot import PlottableLRRange

DIVERGED_AT = 4.0
"""Times the best smoothed loss at which a sweep counts as diverged."""

NARROWEST = 10.0
"""Ratio of the ends of the interval to search in."""

TROUGH = 0.05
"""Losses at most this share of the whole fall above the lowest belong to the trough of a sweep."""


@dataclass(frozen=True, eq=False)
class SeedSweep:
    """One seed's part of a test.

    Attributes:
        losses: Batch losses, one a rate; shorter than the rates where a loss was not finite, which
            is the last then.
        stable: The largest stable constant rate.
        reason: Why `stable` is only a bound; "" where it is not.
    """

    losses: Array
    stable: float
    reason: str = ""


def smoothed(losses: Array, steps: int) -> Array:
    """Return the bias-corrected exponential moving average; it looks back over about 1 / 25 of the
    `steps`.
    """
    keep = 1.0 - min(0.5, 25.0 / steps)
    average, found = 0.0, np.empty(len(losses))
    for i, loss in enumerate(losses):
        average = keep * average + (1.0 - keep) * float(loss)
        found[i] = average / (1.0 - keep ** (i + 1))
    return found


def length_before_divergence(curve: Array) -> int:
    """Return how many points of a smoothed curve come before it diverges: 4 × the best, NaN or inf.

    The first points are averages of few batches: they may be low by luck and count only where they
    are not finite.
    """
    finite = np.isfinite(curve)
    end = len(curve) if finite.all() else int(np.argmin(finite))
    first = min(warm_up(len(curve)), end)
    best = np.minimum.accumulate(curve[first:end])
    start = float(curve[first]) if first < end else 0.0
    # A loss that falls below 0, as a log-likelihood does, has no multiple to go by.
    limit = np.where(best > 0, DIVERGED_AT * best, start + (DIVERGED_AT - 1) * (start - best))
    over = curve[first:end] > limit
    return first + int(np.argmax(over)) if over.any() else end


def warm_up(points: int) -> int:
    """Return how many points at the start are averages of too few batches to be believed."""
    return min(10, points // 5)


def analyse(
    lrs: Array, sweeps: Sequence[SeedSweep], bounds: tuple[float, float], *, batch_size: int
) -> PlottableLRRange:
    """Return the test's result.

    Args:
        lrs: All rates that were asked for, rising by a constant factor.
        sweeps: One a seed, not empty.
        bounds: LRBounds to fall back on.
        batch_size: For the record.
    """
    curves = np.full((len(sweeps), len(lrs)), np.inf)
    for row, sweep in zip(curves, sweeps, strict=True):
        curve = smoothed(sweep.losses, len(lrs))
        kept = length_before_divergence(curve)
        row[:kept] = curve[:kept]
    median = np.median(curves, axis=0)
    kept = max(1, len(median) if np.isfinite(median).all() else int(np.argmin(np.isfinite(median))))
    alive = np.where(np.isfinite(curves[:, :kept]), curves[:, :kept], np.nan)
    low, high = (np.nan_to_num(f(alive, axis=0)) for f in (np.fmin.reduce, np.fmax.reduce))
    losses = np.nan_to_num(median[:kept], posinf=0.0)
    noise = _noise([sweep.losses for sweep in sweeps], len(lrs))
    picks = dict(_picks(lrs[:kept], losses, noise, full=kept == len(lrs)))
    picks["largest_stable"] = _stable(sweeps)
    suggestions, reasons = _complete(picks, bounds)
    return PlottableLRRange(
        lrs=lrs[:kept],
        losses=losses,
        low=low,
        high=high,
        suggestions=suggestions,
        reasons=reasons,
        lr_min=float(lrs[0]),
        lr_max=float(lrs[-1]),
        bounds=bounds,
        interval=bounds
        if "steepest" in reasons
        else _interval(lrs, losses, suggestions["largest_stable"]),
        stable=tuple(sweep.stable for sweep in sweeps),
        batch_size=batch_size,
        seeds=len(sweeps),
        steps=len(lrs),
        diverged=kept < len(lrs),
    )


def _noise(losses: Sequence[Array], steps: int) -> float:
    """Return the standard deviation that the moving average has from one batch to the next, where
    little is learnt.
    """
    kept = min(0.5, 25.0 / steps)
    spreads = []
    for raw in losses:
        early = raw[: max(3, len(raw) // 5)]
        early = early[np.isfinite(early)]
        if len(early) >= 3:
            spreads.append(float(np.std(np.diff(early)) / math.sqrt(2)))
    return math.sqrt(kept / (2 - kept)) * (float(np.median(spreads)) if spreads else 0.0)


def _picks(
    lrs: Array, losses: Array, noise: float, *, full: bool
) -> Iterator[tuple[str, tuple[float | None, str]]]:
    """Yield (name, (rate or None, reason)) for the suggestions that are read off the curve."""
    first = warm_up(len(lrs))
    lowest = first + int(np.argmin(losses[first:]))
    fell = float(losses[first] - losses[lowest])
    names = ("steepest", "valley", "min_over_10")
    if len(lrs) < 5 or lowest - first < 2:
        yield from ((name, (None, "the loss rose from the lowest rates on")) for name in names)
        return
    if fell <= max(3.0 * noise, 1e-3 * abs(float(losses[first]))):
        yield from (
            (name, (None, "the loss did not fall by more than its noise at any rate"))
            for name in names
        )
        return
    yield "steepest", (float(lrs[_steepest(losses, first, lowest, len(lrs))]), "")
    yield "valley", (float(lrs[_valley(losses[first : lowest + 1]) + first]), "")
    reason = ""
    if full and lowest == len(lrs) - 1:
        reason = (
            f"the loss still fell at {lrs[-1]:.3g}, so this is a tenth of the highest rate tried"
        )
    yield "min_over_10", (float(lrs[lowest]) / 10.0, reason)


def _steepest(losses: Array, first: int, lowest: int, points: int) -> int:
    from scipy.signal import savgol_filter

    window = min(max(5, points // 20) | 1, (lowest - first + 1) | 1, points - 1 + points % 2)
    slope = savgol_filter(
        losses, max(3, window), 1, deriv=1
    )  # a line through the points around each
    return first + int(np.argmin(slope[first : lowest + 1]))


def _valley(losses: Array) -> int:
    """Return the middle of the longest falling subsequence, as fastai's `valley` does."""
    length, before = np.ones(len(losses), dtype=int), np.full(len(losses), -1)
    for i in range(1, len(losses)):
        longer = np.where(losses[:i] > losses[i], length[:i], 0)
        j = int(np.argmax(longer))
        if longer[j]:
            length[i], before[i] = longer[j] + 1, j
    end = start = int(np.argmax(length))
    while before[start] >= 0:
        start = int(before[start])
    return (start + end) // 2


def _stable(sweeps: Sequence[SeedSweep]) -> tuple[float | None, str]:
    reasons = [sweep.reason for sweep in sweeps if sweep.reason]
    return float(np.median([sweep.stable for sweep in sweeps])), reasons[0] if 2 * len(
        reasons
    ) > len(sweeps) else ""


def _complete(
    picks: dict[str, tuple[float | None, str]], bounds: tuple[float, float]
) -> tuple[dict[str, float], dict[str, str]]:
    """Return (suggestions, reasons): what could not be picked is the middle of the bounds on a log
    scale.
    """
    middle = math.sqrt(bounds[0] * bounds[1])
    reasons = {name: reason for name, (_, reason) in picks.items() if reason}
    for name, (rate, reason) in picks.items():
        if rate is None:
            reasons[name] = f"{reason}; this is the middle of {bounds[0]:.3g} … {bounds[1]:.3g}"
    return {name: middle if rate is None else rate for name, (rate, _) in picks.items()}, reasons


def _interval(lrs: Array, losses: Array, stable: float) -> tuple[float, float]:
    """Return the decade that ends in the middle of the trough, or at the largest stable rate where
    that is lower.

    The lowest point itself is a matter of luck on a flat trough: a factor of 3 from one structure
    or seed to the next.
    """
    first = warm_up(len(losses))
    curve = losses[first:]
    inside = curve <= curve.min() + TROUGH * (curve[0] - curve.min())
    middle = math.exp(float(np.log(lrs[first : len(losses)][inside]).mean()))
    high = min(max(min(middle, stable), float(lrs[0]) * NARROWEST), float(lrs[-1]))
    return max(high / NARROWEST, float(lrs[0])), high
