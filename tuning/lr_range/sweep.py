"""`lr_range_test`: which learning rates a model can be trained with, found on a throw-away copy."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tuning.data.dataset import Array
from tuning.errors import StudyError
from tuning.lr_range.analysis import SeedSweep, analyse, length_before_divergence, smoothed
from tuning.lr_range.plot import PlottableLRRange
from tuning.lr_range.result import rate_faults
from tuning.lr_range.steps import Steps, batch_order, first_rows, row_counts
from tuning.lr_range.throwaway import random_states_kept, throw_away
from tuning.study.study import derive_seed

BISECTIONS = 12
"""Most runs at a constant rate a seed."""

CONSTANT_STEPS = 100
"""Steps of each."""

CLOSE_ENOUGH = 1.02
"""Ratio of a rate that diverges to one that does not at which the bisection ends."""

_COMPARED = (
    10  # batches at the end of such a run, compared with their losses at the start's weights
)


@dataclass(frozen=True)
class Sweep:
    """What a range test is told; see `lr_range_test`."""

    batch_size: int = 32
    lr_min: float = 1e-5
    lr_max: float = 1.0
    steps: int = 500
    seeds: int = 1
    bounds: tuple[float, float] | None = None

    @property
    def lrs(self) -> Array:
        """The rates, rising by a constant factor."""
        return np.geomspace(self.lr_min, self.lr_max, self.steps)

    def faults(self) -> Iterator[str]:
        """Yield one sentence for each setting out of its range."""
        for name, least in (("batch_size", 1), ("steps", 20), ("seeds", 1)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                yield f"{name} must be a whole number, at least {least}, got {value!r}"
        yield from rate_faults(self.lr_min, self.lr_max)


def lr_range_test(
    model: keras.Model,
    X: Any,
    y: Any,
    *,
    batch_size: int = 32,
    lr_min: float = 1e-5,
    lr_max: float = 1.0,
    steps: int = 500,
    seeds: int = 1,
) -> PlottableLRRange:
    """Train a throw-away copy of `model` at rising learning rates and suggest some.

    The model, its optimizer and all random states are afterwards what they were, also after an
    error or Ctrl-C. The same call gives the same result.

    Source: Smith 2017, arXiv:1506.01186, section 3.3 (the sweep); the factor between two steps is
    the course's, for the defaults exp(log(10^5) / 500). For what is not from there see
    `lr_record.DEFINITIONS`; the bisection is custom.

    Args:
        model: Compiled `keras.Model`; its optimizer's kind and settings are used, not its moments
            or its rate.
        X: `(rows, …)`, or a list or dictionary of such.
        y: `(rows, …)`, as the model's loss takes it.
        batch_size: Rows a step; from the number of rows on every step sees all.
        lr_min, lr_max: Ends of the sweep, 0 < lr_min < lr_max.
        steps: Steps of the sweep, at least 20.
        seeds: Sweeps; the first from the model's own weights, the others from weights drawn anew by
            its initialisers (one with a fixed seed draws the same), each with another order of the
            rows; medians are taken.

    Returns:
        `.lrs`, `.losses`, `.suggestions`, `.reasons`, `.interval`, `.plot()`.

    Raises:
        StudyError: The settings or the data are wrong, or the model cannot be copied.
    """
    sweep = Sweep(batch_size, lr_min, lr_max, steps, seeds)
    return measure_copies(model, (X, y), sweep)


def measure_copies(model: keras.Model, data: tuple[Any, ...], sweep: Sweep) -> PlottableLRRange:
    """Do what `lr_range_test` promises, on (X, y) or (X, y, weights)."""
    _check(sweep, model, data)
    batch = first_rows(data)
    with random_states_kept():
        return measure(lambda seed: throw_away(model, batch, weights=seed == 0), data, sweep)


def _check(sweep: Sweep, model: Any, data: tuple[Any, ...]) -> None:
    faults = list(sweep.faults())
    if not isinstance(model, keras.Model):
        faults.append(f"model must be a keras.Model, got a {type(model).__name__}")
    elif not model.compiled:
        faults.append("the model is not compiled: call model.compile(optimizer=…, loss=…) first")
    counts = set(row_counts(data))
    if len(counts) != 1 or min(counts) < 1:
        faults.append(
            f"X and y must be arrays of equally many rows, at least 1; found {sorted(counts)}"
        )
    if faults:
        raise StudyError(faults, where="lr_range_test")


def measure(
    make: Callable[[int], keras.Model], data: tuple[Any, ...], sweep: Sweep
) -> PlottableLRRange:
    """Do the test with models that may be thrown away.

    Args:
        make: Gives the prepared model of a seed, from 0 (`throwaway.throw_away` or `own`); Python's
            random state is set before each call, so that initialisers draw the same every time.
        data: The training rows.
        sweep: The settings, checked.
    """
    began = time.perf_counter()
    steps: Steps | None = None
    found = []
    for seed in range(sweep.seeds):
        random.seed(derive_seed(seed, "lr range"))
        model = make(seed)
        if steps is None:
            steps = Steps(model, data)
        else:
            steps.begin_at(model)
        rng = np.random.default_rng(derive_seed(seed, "lr range", "rows"))
        found.append(_one_seed(steps, row_counts(data)[0], sweep, rng))
    bounds = sweep.bounds or (sweep.lr_min, sweep.lr_max)
    result = analyse(sweep.lrs, found, bounds, batch_size=sweep.batch_size)
    return replace(result, seconds=time.perf_counter() - began)


def _one_seed(steps: Steps, rows: int, sweep: Sweep, rng: np.random.Generator) -> SeedSweep:
    losses = steps.losses(sweep.lrs, batch_order(rows, sweep.batch_size, sweep.steps, rng))
    kept = length_before_divergence(smoothed(losses, sweep.steps))
    guess = float(sweep.lrs[min(kept, sweep.steps - 1)])
    stable, reason = _bisect(
        _Stability(steps, batch_order(rows, sweep.batch_size, CONSTANT_STEPS, rng)), guess, sweep
    )
    return SeedSweep(losses, stable, reason)


class _Stability:
    """Whether constant rates are stable: 100 steps end with a loss no higher than the start's on
    the same batches.
    """

    def __init__(self, steps: Steps, order: Array) -> None:
        self._steps, self._order = steps, order
        self.runs = 0
        self._began = steps.losses(np.zeros(_COMPARED), order[-_COMPARED:]).mean()

    def __call__(self, rate: float) -> bool:
        self.runs += 1
        losses = self._steps.losses(np.full(CONSTANT_STEPS, rate), self._order)
        return len(losses) == CONSTANT_STEPS and bool(losses[-_COMPARED:].mean() <= self._began)


def _bisect(stable: Callable[[float], bool], guess: float, sweep: Sweep) -> tuple[float, str]:
    """Return the largest stable rate in [lr_min, lr_max], and why it is only a bound where it is.

    Args:
        stable: Costs a run; called at most `BISECTIONS` times.
        guess: Where the sweep diverged; it errs by a factor of 1.4 to 2.4, to either side.
    """
    lowest, highest = sweep.lr_min, sweep.lr_max
    good, bad = 0.0, math.inf
    for _ in range(BISECTIONS):
        if good == 0.0:
            rate = guess if bad == math.inf else max(bad / 4.0, lowest)
        elif bad == math.inf:
            rate = min(good * 2.0, highest)
        else:
            rate = math.sqrt(good * bad)
        if stable(rate):
            good = rate
        else:
            bad = rate
        if good == highest:
            return (
                highest,
                f"nothing diverged up to {highest:.3g}: the largest stable rate may be higher",
            )
        if bad == lowest:
            return (
                lowest,
                f"no rate was stable, not even {lowest:.3g}: the loss rose from the weights it began with",
            )
        if good > 0.0 and bad / good <= CLOSE_ENOUGH:
            break
    return (
        (good, "")
        if good > 0.0
        else (lowest, f"no rate was stable down to {bad:.3g}; this is the lowest rate")
    )
