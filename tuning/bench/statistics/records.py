"""`AnytimeRun`: what a benchmark, real or simulated, keeps of one search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from tuning.schema import Json


@dataclass(frozen=True, kw_only=True)
class AnytimeRun:
    """One search of one engine on one study with one seed, as a curve over its budget.

    Attributes:
        study: Name of the study.
        engine: Name of the engine, its pruner included: `optuna:tpe+asha`.
        seed: The bench seed's index; equal indices are paired.
        direction: "minimize" or "maximize".
        metric: The objective as the study names it, e.g. `val_rmse`.
        epochs: Cumulative trained epochs at the end of each trial, rising.
        seconds: Cumulative training seconds, as many.
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
        """Return plain JSON types; the file that holds them carries the schema number."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Return the run that `to_json` wrote."""
        return cls(
            study=stored["study"],
            engine=stored["engine"],
            seed=stored["seed"],
            direction=stored["direction"],
            metric=stored["metric"],
            epochs=tuple(stored["epochs"]),
            seconds=tuple(stored["seconds"]),
            values=_scores(stored["values"]),
            tests=_scores(stored["tests"]),
            asked_s=tuple(stored.get("asked_s", ())),
        )


def _scores(stored: Sequence[Any]) -> tuple[float | None, ...]:
    """Return scores as numbers; our files hold NaN and infinities as text."""
    return tuple(None if score is None else float(score) for score in stored)
