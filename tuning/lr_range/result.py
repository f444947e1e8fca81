"""`LRRange`: what a learning-rate range test has found.

Plain figures: the driver reads them without TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from tuning.data.dataset import Array
from tuning.schema import Json, JsonObject
from tuning.study.display.html import block, facts, table
from tuning.trial import Params
from tuning.trials.jobs import Overrides, Source

DEFINITIONS: Mapping[str, str] = {
    "steepest": "where the smoothed loss falls fastest, over the logarithm of the rate",
    "valley": (
        "the middle, on the log axis, of the longest falling run of the smoothed loss, "
        "small bumps left out"
    ),
    "min_over_10": "a tenth of the rate at which the smoothed loss is lowest",
    "largest_stable": (
        "the largest constant rate at which 100 steps from the same weights end no higher "
        "than at first"
    ),
}
"""How each suggestion is defined.

Source: the sweep is Smith 2017, arXiv:1506.01186, section 3.3. None of the picks is in the paper:
steepest and minimum / 10 are conventions of fastai and its users, the valley is fastai's (its
default since version 2.3), the largest stable rate is what Smith calls the maximum bound, found
here by bisection instead of by eye.
"""

# Fields whose type is not JSON's own.
_CURVES = ("lrs", "losses", "low", "high")
_MAPPINGS = ("suggestions", "reasons")
_UNLESS_NOTHING = ("digest", "cpu_s", "gpu_s")
_TUPLES = ("bounds", "interval", "stable")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class LRRange:
    """One learning-rate range test.

    Attributes:
        lrs: Rates of the sweep, rising by a constant factor, up to where at least half of the seeds
            had diverged.
        losses: Median over the seeds of the smoothed batch losses, one a rate; the loss before the
            step at that rate.
        low, high: Lowest and highest smoothed loss among the seeds that had not diverged.
        suggestions: Rates by name, see `DEFINITIONS`; always all of them.
        reasons: For each suggestion that is not what its definition says, why, and what it is
            instead.
        lr_min, lr_max: Ends of the sweep.
        bounds: The rates to fall back on.
        interval: (low, high) to search in: the factor of 10 that ends in the middle, on the log
            axis, of the trough (rates whose smoothed loss is within a twentieth of its whole fall
            of the lowest), or at the largest stable rate where that is lower; `bounds` where
            nothing could be read off the curve. Measured on housing at three structures, the rates
            with the best validation RMSE after 30 epochs lie in it, with SGD in its upper half,
            with Adam in its middle; Adam is stable long after it has stopped to learn.
        stable: The largest stable rate of each seed.
        batch_size, seeds, steps: As asked for.
        diverged: Whether the sweep of at least half of the seeds diverged.
        seconds: What it took.
        study, label: Whose model was tested, and with which parameters; "" where the caller gave
            the model.
        digest: `range_tests_digest` of the search whose bounds it gave; "": none, or not known.
        cpu_s, gpu_s: What it used, as in `TrialResult`; 0: not measured.
    """

    lrs: Array
    losses: Array
    low: Array
    high: Array
    suggestions: Mapping[str, float]
    reasons: Mapping[str, str]
    lr_min: float
    lr_max: float
    bounds: tuple[float, float]
    interval: tuple[float, float]
    stable: tuple[float, ...]
    batch_size: int
    seeds: int
    steps: int
    diverged: bool
    seconds: float = 0.0
    study: str = ""
    label: str = ""
    digest: str = ""
    cpu_s: float = 0.0
    gpu_s: float = 0.0

    def __repr__(self) -> str:
        rates = ", ".join(f"{name} {rate:.3g}" for name, rate in self.suggestions.items())
        low, high = self.interval
        return f"LRRange(search in {low:.3g} … {high:.3g}; {rates})"

    def _repr_html_(self) -> str:
        low, high = self.interval
        about = [
            ("search in", f"{low:.3g} … {high:.3g}"),
            ("seeds", self.seeds),
            ("rows a step", self.batch_size),
        ]
        lines = [
            (name, f"{rate:.3g}", self.reasons.get(name) or DEFINITIONS[name])
            for name, rate in self.suggestions.items()
        ]
        rates = table(("suggestion", "rate", "what it is"), lines)
        title = f"Learning-rate range test {self.label or self.study}".strip()
        return block(title, facts(about), rates)

    def to_json(self) -> JsonObject:
        """Return plain JSON types; suggestions carry their definitions."""
        stored = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in _CURVES:
            stored[name] = [float(value) for value in stored[name]]
        for name in _MAPPINGS:
            stored[name] = dict(stored[name])
        for name in _TUPLES:
            stored[name] = list(stored[name])

        for name in _UNLESS_NOTHING:
            if not stored[name]:
                del stored[name]

        # For readers of the file; `from_json` leaves them out, since ours may have changed.
        stored["definitions"] = dict(DEFINITIONS)
        return stored

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json` through JSON."""
        values = {name: value for name, value in stored.items() if name != "definitions"}
        for name in _CURVES:
            values[name] = np.array(values[name], dtype=float)
        for name in _TUPLES:  # lists in JSON
            values[name] = tuple(map(float, values[name]))
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class LRRangeJob:
    """A range test for a worker to do on a study's training part.

    Attributes:
        source, overrides: The study.
        structure: The point of the space to test at, without the rate itself; None: the middle.
        parameter: The learning rate whose bounds are wanted; "": any, no bounds are.
        batch_size: None: as the study says.
        lr_min, lr_max, steps, seeds: As for `lr_range_test`.
        bounds: Rates to fall back on; None: the study's own bounds of its rate, else (lr_min,
            lr_max).
    """

    source: Source
    overrides: Overrides
    structure: Params | None = None
    parameter: str = ""
    batch_size: int | None = None
    lr_min: float = 1e-5
    lr_max: float = 1.0
    steps: int = 500
    seeds: int = 3
    bounds: tuple[float, float] | None = None


def rate_faults(lr_min: float, lr_max: float) -> Iterator[str]:
    """Yield what is wrong with the ends of a sweep."""
    finite = all(isinstance(rate, int | float) and math.isfinite(rate) for rate in (lr_min, lr_max))
    if not (finite and 0 < lr_min < lr_max):
        yield f"lr_min and lr_max must be 0 < lr_min < lr_max, got {lr_min!r} and {lr_max!r}"


def hull(tests: Sequence[LRRange]) -> tuple[float, float]:
    """Return the interval that holds the intervals of all tests."""
    lowest = min(test.interval[0] for test in tests)
    highest = max(test.interval[1] for test in tests)
    return lowest, highest
