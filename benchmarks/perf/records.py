"""What a part of the benchmark gives back: rows of times, and verdicts on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, NamedTuple, TypeAlias

from tuning.schema import Json, JsonObject

Window: TypeAlias = Mapping[str, float]
"""What the driver took for some trials after one another, see `benchmarks.perf.drive`."""


class Rates(NamedTuple):
    """What one worker measured, or what all workers of one side came to at once.

    Attributes:
        epochs_per_s: From the third epoch on; the sum over the workers.
        first_s: Seconds of the first epoch, the mean over the workers.
        two_epochs_s: Seconds of the first two epochs, the mean over the workers.
        compiler: What compiled the epoch.
    """

    epochs_per_s: float
    first_s: float
    two_epochs_s: float
    compiler: str


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        quick: Everything so small that it only shows that nothing breaks; no figure means anything.
        repeats: Pairs measured of each comparison.
        seconds: Least time of one steady measurement.
    """

    quick: bool = False
    repeats: int = 3
    seconds: float = 4.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison: the raw figures of each side, in the order they were measured.

    Attributes:
        name: What was compared.
        unit: Of the figures, e.g. `epochs/s`.
        raw: Side → one figure a repeat; the figures of one repeat were measured one right after the
            other.
        ours: The side that is this project's.
        against: The sides it is compared with.
        better: Whether the higher or the lower figure wins.
        notes: What else was seen.
    """

    name: str
    unit: str
    raw: Mapping[str, Sequence[float]]
    ours: str = "ours"
    against: tuple[str, ...] = ()
    better: Literal["higher", "lower"] = "higher"
    notes: Json = field(default_factory=dict)

    @property
    def medians(self) -> dict[str, float]:
        """The median of each side."""
        return {side: median(figures) for side, figures in self.raw.items() if figures}

    def ratio(self, other: str) -> float:
        """Return how many times better ours is than `other`: the median over the pairs."""
        ours = self.raw[self.ours]
        theirs = self.raw[other]
        if self.better == "higher":
            return median(our / their for our, their in zip(ours, theirs, strict=True))
        return median(their / our for our, their in zip(ours, theirs, strict=True))

    def to_json(self) -> JsonObject:
        """Return plain JSON types, medians and ratios included."""
        return {
            "name": self.name,
            "unit": self.unit,
            "better": self.better,
            "raw": {side: list(figures) for side, figures in self.raw.items()},
            "medians": self.medians,
            "ours_is_better_by": {other: self.ratio(other) for other in self.against},
            "notes": dict(self.notes),
        }


@dataclass(frozen=True)
class Verdict:
    """One target and whether it is met.

    Attributes:
        target: In words, the limit included.
        measured: The figure the limit is compared with.
        met: Whether it holds.
    """

    target: str
    measured: float
    met: bool

    @property
    def words(self) -> str:
        """The target, the figure and whether it is met."""
        outcome = "met" if self.met else "MISSED"
        return f"{self.target}; measured {self.measured:.3g}: {outcome}"

    @classmethod
    def at_least(cls, what: str, measured: float, limit: float, unit: str = "×") -> Verdict:
        """`what` must not be below `limit`."""
        return cls(f"{what}: at least {limit:.3g}{_gap(unit)}", measured, measured >= limit)

    @classmethod
    def at_most(cls, what: str, measured: float, limit: float, unit: str = "×") -> Verdict:
        """`what` must not be above `limit`."""
        return cls(f"{what}: at most {limit:.3g}{_gap(unit)}", measured, measured <= limit)

    def to_json(self) -> JsonObject:
        """Return plain JSON types, with the verdict in words."""
        return {
            "target": self.target,
            "measured": self.measured,
            "met": self.met,
            "words": self.words,
        }


@dataclass(frozen=True, kw_only=True)
class Part:
    """All of one part.

    Attributes:
        key: Its letter or name, as `--parts` takes it.
        title: What it is about.
        rows: What was compared.
        verdicts: The targets.
        series: Figures too long for rows, by name.
    """

    key: str
    title: str
    rows: Sequence[Row]
    verdicts: Sequence[Verdict] = ()
    series: Mapping[str, Sequence[Window]] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "title": self.title,
            "rows": [row.to_json() for row in self.rows],
            "targets": [verdict.to_json() for verdict in self.verdicts],
            "series": dict(self.series),
        }


def _gap(unit: str) -> str:
    return f" {unit}" if unit else ""
