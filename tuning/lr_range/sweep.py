"""`lr_range_test`: which learning rates a model can be trained with, found on a throw-away copy."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

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
"""Steps of such a run."""

CLOSE_ENOUGH = 1.02
"""The bisection ends where a rate that diverges is this many times one that does not."""

_COMPARED = 10
"""Batches at the end of such a run, compared with their losses at the start's weights."""

_LEAST = {"batch_size": 1, "steps": 20, "seeds": 1}


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The settings of a range test; see `lr_range_test`.

    Attributes:
        bounds: Rates to fall back on; None: (lr_min, lr_max).
    """

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
        for name, least in _LEAST.items():
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or value < least:
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
    `result.DEFINITIONS`; the bisection is custom.

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
    sweep = Sweep(
        batch_size=batch_size,
        lr_min=lr_min,
        lr_max=lr_max,
        steps=steps,
        seeds=seeds,
    )
    return measure_copies(model, (X, y), sweep)


def measure_copies(model: keras.Model, data: tuple[Any, ...], sweep: Sweep) -> PlottableLRRange:
    """Do what `lr_range_test` promises, on (X, y) or (X, y, weights)."""
    _check(sweep, model, data)
    batch = first_rows(data)

    def make(seed: int) -> keras.Model:
        return throw_away(model, batch, weights=seed == 0)

    with random_states_kept():
        return measure(make, data, sweep)


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
    rows = row_counts(data)[0]
    steps: Steps | None = None
    sweeps = []
    for seed in range(sweep.seeds):
        random.seed(derive_seed(seed, "lr range"))
        model = make(seed)
        # The graph is traced once: later seeds lend it their weights alone.
        if steps is None:
            steps = Steps(model, data)
        else:
            steps.begin_at(model)

        rng = np.random.default_rng(derive_seed(seed, "lr range", "rows"))
        sweeps.append(_one_seed(steps, rows, sweep, rng))

    bounds = sweep.bounds or (sweep.lr_min, sweep.lr_max)
    result = analyse(sweep.lrs, sweeps, bounds, batch_size=sweep.batch_size)
    return replace(result, seconds=time.perf_counter() - began)


def _one_seed(steps: Steps, rows: int, sweep: Sweep, rng: np.random.Generator) -> SeedSweep:
    """Sweep once, then bisect around where the sweep diverged."""
    order = batch_order(rows, sweep.batch_size, sweep.steps, rng)
    losses = steps.losses(sweep.lrs, order)
    length = length_before_divergence(smoothed(losses, sweep.steps))
    guess = float(sweep.lrs[min(length, sweep.steps - 1)])

    # One order of the rows for all constant rates: the runs differ in nothing else.
    order = batch_order(rows, sweep.batch_size, CONSTANT_STEPS, rng)
    stable = _bisect(_Stability(steps, order), guess, sweep)
    return SeedSweep(losses=losses, stable=stable.rate, reason=stable.reason)


class _Stability:
    """Whether constant rates are stable.

    They are where 100 steps end with a loss no higher than the start's on the same batches.
    """

    def __init__(self, steps: Steps, order: Array) -> None:
        self.runs = 0
        self._steps = steps
        self._order = order
        # At a rate of 0 the weights stay those of the start.
        self._loss_at_start = steps.losses(np.zeros(_COMPARED), order[-_COMPARED:]).mean()

    def __call__(self, rate: float) -> bool:
        self.runs += 1
        losses = self._steps.losses(np.full(CONSTANT_STEPS, rate), self._order)
        # They end at a loss that is not finite.
        if len(losses) < CONSTANT_STEPS:
            return False
        return bool(losses[-_COMPARED:].mean() <= self._loss_at_start)


class _Stable(NamedTuple):
    """The largest stable rate; `reason` says why it is only a bound, where it is."""

    rate: float
    reason: str = ""


def _bisect(stable: Callable[[float], bool], guess: float, sweep: Sweep) -> _Stable:
    """Return the largest stable rate in [lr_min, lr_max].

    Args:
        stable: Costs a run; called at most `BISECTIONS` times.
        guess: Where the sweep diverged; it errs by a factor of 1.4 to 2.4, to either side.
        sweep: Its ends.
    """
    lowest = sweep.lr_min
    highest = sweep.lr_max
    good = 0.0  # none yet
    bad = math.inf
    for _ in range(BISECTIONS):
        rate = _next_rate(good, bad, guess, sweep)
        if stable(rate):
            good = rate
        else:
            bad = rate

        if good == highest:
            reason = f"nothing diverged up to {highest:.3g}: the largest stable rate may be higher"
            return _Stable(highest, reason)
        if bad == lowest:
            reason = (
                f"no rate was stable, not even {lowest:.3g}: "
                "the loss rose from the weights it began with"
            )
            return _Stable(lowest, reason)
        if good > 0.0 and bad / good <= CLOSE_ENOUGH:
            break

    if good > 0.0:
        return _Stable(good)
    return _Stable(lowest, f"no rate was stable down to {bad:.3g}; this is the lowest rate")


def _next_rate(good: float, bad: float, guess: float, sweep: Sweep) -> float:
    """Return the rate to try next: the guess, then outwards until there is one of each kind.

    From then on it is their middle on the log axis.
    """
    if good == 0.0 and bad == math.inf:
        return guess
    if good == 0.0:
        return max(bad / 4.0, sweep.lr_min)
    if bad == math.inf:
        return min(good * 2.0, sweep.lr_max)
    return math.sqrt(good * bad)
