"""From the losses of a sweep to suggestions; NumPy and SciPy alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
        losses: Batch losses, one a rate; shorter than the rates where a loss was not finite: that
            one is the last.
        stable: The largest stable constant rate.
        reason: Why `stable` is only a bound; "" where it is not.
    """

    losses: Array
    stable: float
    reason: str = ""


class Pick(NamedTuple):
    """What a curve says of one suggestion.

    Attributes:
        rate: None where it could not be picked.
        reason: Why the suggestion is not what its definition says; "" where it is.
    """

    rate: float | None
    reason: str = ""


def smoothed(losses: Array, steps: int) -> Array:
    """Return the bias-corrected exponential moving average of losses.

    It looks back over about 1 / 25 of the `steps`.
    """
    decay = 1.0 - _weight_of_one(steps)
    averages = np.empty(len(losses))
    average = 0.0
    for i, loss in enumerate(losses):
        average = decay * average + (1.0 - decay) * float(loss)
        averages[i] = average / (1.0 - decay ** (i + 1))
    return averages


def _weight_of_one(steps: int) -> float:
    """Return the weight that the moving average gives to the newest loss."""
    return min(0.5, 25.0 / steps)


def length_before_divergence(curve: Array) -> int:
    """Return how many points of a smoothed curve come before it diverges: 4 × the best, NaN or inf.

    The first points are averages of few batches: they may be low by luck and count only where they
    are not finite.
    """
    end = _length_finite(curve)
    first = min(warm_up(len(curve)), end)
    believed = curve[first:end]
    if not len(believed):
        return end

    best = np.minimum.accumulate(believed)
    # A loss that falls below 0, as a log-likelihood does, has no multiple to go by.
    start = float(believed[0])
    below_zero = start + (DIVERGED_AT - 1) * (start - best)
    limit = np.where(best > 0, DIVERGED_AT * best, below_zero)
    over = believed > limit
    return first + int(np.argmax(over)) if over.any() else end


def _length_finite(values: Array) -> int:
    """Return how many values come before the first that is not finite."""
    finite = np.isfinite(values)
    return len(values) if finite.all() else int(np.argmin(finite))


def warm_up(points: int) -> int:
    """Return how many points at the start are averages of too few batches to be believed."""
    return min(10, points // 5)


def analyse(
    lrs: Array, sweeps: Sequence[SeedSweep], bounds: tuple[float, float], *, batch_size: int
) -> PlottableLRRange:
    """Return the test's result.

    Args:
        lrs: All rates that were tried, rising by a constant factor.
        sweeps: One a seed, not empty.
        bounds: Rates to fall back on.
        batch_size: As it was used.
    """
    curves = _curves_before_divergence(sweeps, steps=len(lrs))
    median = np.median(curves, axis=0)
    # Until half of the seeds have diverged, the median is finite.
    length = max(1, _length_finite(median))
    losses = np.nan_to_num(median[:length], posinf=0.0)

    # `fmin` and `fmax` pass over NaN: over the seeds that have diverged.
    until_then = curves[:, :length]
    alive = np.where(np.isfinite(until_then), until_then, np.nan)

    # Of the raw losses: in the smoothed ones a loss and the next hardly differ.
    noise = _noise([sweep.losses for sweep in sweeps], steps=len(lrs))
    picks = _picks(lrs[:length], losses, noise, whole_sweep=length == len(lrs))
    picks["largest_stable"] = _stable(sweeps)
    suggestions = _suggestions(picks, bounds)
    reasons = _reasons(picks, bounds)

    # A loss that never fell by more than its noise has no trough.
    interval = bounds
    if "steepest" not in reasons:
        interval = _interval(lrs, losses, suggestions["largest_stable"])

    return PlottableLRRange(
        lrs=lrs[:length],
        losses=losses,
        low=np.nan_to_num(np.fmin.reduce(alive, axis=0)),
        high=np.nan_to_num(np.fmax.reduce(alive, axis=0)),
        suggestions=suggestions,
        reasons=reasons,
        lr_min=float(lrs[0]),
        lr_max=float(lrs[-1]),
        bounds=bounds,
        interval=interval,
        stable=tuple(sweep.stable for sweep in sweeps),
        batch_size=batch_size,
        seeds=len(sweeps),
        steps=len(lrs),
        diverged=length < len(lrs),
    )


def _curves_before_divergence(sweeps: Sequence[SeedSweep], steps: int) -> Array:
    """Return the smoothed losses, `(seeds, steps)`; inf from where a seed has diverged."""
    curves = np.full((len(sweeps), steps), np.inf)
    for row, sweep in zip(curves, sweeps, strict=True):
        curve = smoothed(sweep.losses, steps)
        length = length_before_divergence(curve)
        row[:length] = curve[:length]
    return curves


def _noise(losses: Sequence[Array], steps: int) -> float:
    """Return the standard deviation that the moving average has from one batch to the next.

    It is measured where little is learnt: on the first fifth of the rates.
    """
    spreads = []
    for of_seed in losses:
        early = of_seed[: max(3, len(of_seed) // 5)]
        early = early[np.isfinite(early)]
        if len(early) >= 3:
            # Differences have twice the variance; a trend drops out of them.
            spread = np.std(np.diff(early)) / math.sqrt(2)
            spreads.append(float(spread))
    if not spreads:
        return 0.0

    # An exponential average of independent values has weight / (2 - weight) of their variance.
    weight = _weight_of_one(steps)
    return math.sqrt(weight / (2 - weight)) * float(np.median(spreads))


def _picks(lrs: Array, losses: Array, noise: float, *, whole_sweep: bool) -> dict[str, Pick]:
    """Return the suggestions that are read off the curve, by name.

    Args:
        lrs, losses: The curve, up to where it diverged.
        noise: Of the losses, from one batch to the next.
        whole_sweep: Whether it did not diverge.
    """
    first = warm_up(len(lrs))
    lowest = first + int(np.argmin(losses[first:]))
    start = float(losses[first])
    fall = float(losses[first] - losses[lowest])

    nothing = ""
    if len(lrs) < 5 or lowest - first < 2:
        nothing = "the loss rose from the lowest rates on"
    elif fall <= max(3.0 * noise, 1e-3 * abs(start)):
        nothing = "the loss did not fall by more than its noise at any rate"
    if nothing:
        return {name: Pick(None, nothing) for name in ("steepest", "valley", "min_over_10")}

    steepest = _steepest(losses, first, lowest)
    valley = first + _valley(losses[first : lowest + 1])

    still_fell = ""
    if whole_sweep and lowest == len(lrs) - 1:
        still_fell = (
            f"the loss still fell at {lrs[-1]:.3g}, so this is a tenth of the highest rate tried"
        )
    return {
        "steepest": Pick(float(lrs[steepest])),
        "valley": Pick(float(lrs[valley])),
        "min_over_10": Pick(float(lrs[lowest]) / 10.0, still_fell),
    }


def _steepest(losses: Array, first: int, lowest: int) -> int:
    """Return where the curve falls fastest, from its first point to be believed to its lowest."""
    from scipy.signal import savgol_filter

    # The window is odd, and no longer than the fall or the curve.
    points = len(losses)
    wanted = max(5, points // 20) | 1
    of_fall = (lowest - first + 1) | 1
    of_curve = points - 1 + points % 2
    window = max(3, min(wanted, of_fall, of_curve))

    slope = savgol_filter(losses, window, 1, deriv=1)  # a line through the points around each
    return first + int(np.argmin(slope[first : lowest + 1]))


def _valley(losses: Array) -> int:
    """Return the middle of the longest falling subsequence, as fastai's `valley` does."""
    # Of the longest subsequence that ends at each point: its length, and the point before.
    length = np.ones(len(losses), dtype=int)
    before = np.full(len(losses), -1)
    for i in range(1, len(losses)):
        extensible = np.where(losses[:i] > losses[i], length[:i], 0)
        longest = int(np.argmax(extensible))
        if extensible[longest]:
            length[i] = extensible[longest] + 1
            before[i] = longest

    end = int(np.argmax(length))
    start = end
    while before[start] >= 0:
        start = int(before[start])
    return (start + end) // 2


def _stable(sweeps: Sequence[SeedSweep]) -> Pick:
    """Return the median of the seeds' stable rates; a bound where most of these are."""
    median = float(np.median([sweep.stable for sweep in sweeps]))
    reasons = [sweep.reason for sweep in sweeps if sweep.reason]
    if 2 * len(reasons) > len(sweeps):
        return Pick(median, reasons[0])
    return Pick(median)


def _suggestions(picks: Mapping[str, Pick], bounds: tuple[float, float]) -> dict[str, float]:
    """Return the rates; what could not be picked is the middle of the bounds on a log scale."""
    middle = math.sqrt(bounds[0] * bounds[1])
    return {name: middle if pick.rate is None else pick.rate for name, pick in picks.items()}


def _reasons(picks: Mapping[str, Pick], bounds: tuple[float, float]) -> dict[str, str]:
    """Return why suggestions are not what they should be, and what they are instead."""
    reasons = {}
    for name, pick in picks.items():
        if pick.rate is None:
            middle = f"this is the middle of {bounds[0]:.3g} … {bounds[1]:.3g}"
            reasons[name] = f"{pick.reason}; {middle}"
        elif pick.reason:
            reasons[name] = pick.reason
    return reasons


def _interval(lrs: Array, losses: Array, stable: float) -> tuple[float, float]:
    """Return the decade that ends in the middle of the trough, or at the largest stable rate.

    The lower of the two counts. The lowest point itself is a matter of luck on a flat trough: a
    factor of 3 from one structure or seed to the next.
    """
    first = warm_up(len(losses))
    curve = losses[first:]
    lowest = curve.min()
    in_trough = curve <= lowest + TROUGH * (curve[0] - lowest)
    rates = lrs[first : len(losses)][in_trough]
    # Its middle on the log axis, the rates' own.
    middle = math.exp(float(np.log(rates).mean()))

    lr_min = float(lrs[0])
    lr_max = float(lrs[-1])
    high = min(max(min(middle, stable), lr_min * NARROWEST), lr_max)
    return max(high / NARROWEST, lr_min), high
