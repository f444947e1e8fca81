"""`AnytimeRun`: what a benchmark, real or simulated, keeps of one search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class AnytimeRun:
    """One search of one engine on one study with one seed, as a curve over its budget.

    Attributes:
        study, engine: Names.
        seed: The bench seed's index; equal indices are paired.
        direction: "minimize" or "maximize".
        metric: The objective as the study names it, e.g. `val_rmse`.
        epochs, seconds: Cumulative trained epochs and training seconds at the end of each trial,
            rising, same length.
        values: The incumbent's validation value after each trial; None before the first completed
            one.
        tests: The incumbent's test score after each trial, or None.
        asked_s: The engine's own seconds for each proposal.
    """

    study: str
    engine: str
    seed: int
    direction: str
    metric: str
    epochs: tuple[int, ...]
    seconds: tuple[float, ...]
    values: tuple[float | None, ...]
    tests: tuple[float | None, ...]
    asked_s: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json` through JSON."""
        plain = {name: tuple(stored[name]) for name in ("epochs", "seconds", "asked_s")}
        scores = {
            name: tuple(None if v is None else float(v) for v in stored[name])
            for name in ("values", "tests")
        }
        return cls(**{**stored, **plain, **scores})  # NaN and infinities are strings in our files
