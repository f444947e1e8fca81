"""What a second training says of the first: equal, within the spread, or different."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tuning.schema import JsonObject
from tuning.trial import TrialResult

_SURE = 2.0
"""Standard errors within which chance alone leaves 19 of 20 differences."""


class Verdict(StrEnum):
    """What came of it."""

    EQUAL = "equal"  # to the last digit
    WITHIN = "within the spread"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Figure:
    """One value as it is in the record, and as it came again; None: it has none."""

    name: str
    recorded: float | None
    again: float | None

    @property
    def is_equal(self) -> bool:
        """Whether both are the same number, or neither is one."""
        if self.recorded is None or self.again is None:
            return self.recorded is self.again
        both_nan = math.isnan(self.recorded) and math.isnan(self.again)
        return both_nan or self.recorded == self.again


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was compared, and what differs in what it was made of.

    Attributes:
        called: "trial 3 of housing/optuna-tpe".
        objective: Its value, or the mean over fresh seeds.
        others: Everything else that was compared.
        spread: Standard deviation over fresh seeds of such a value; None: not known.
        n_seeds: Over how many seeds the objective is a mean.
        differences: In code, data, versions, device and seed, one sentence each.
        same_rows: Whether the data are those of then: values on others cannot be compared.
    """

    called: str
    objective: Figure
    others: Sequence[Figure] = ()
    spread: float | None = None
    n_seeds: int = 1
    differences: Sequence[str] = ()
    same_rows: bool = True

    @property
    def verdict(self) -> Verdict:
        """The answer."""
        if all(figure.is_equal for figure in (self.objective, *self.others)):
            return Verdict.EQUAL
        before, now = self.objective.recorded, self.objective.again
        if before is None or now is None or self.spread is None or not self.same_rows:
            return Verdict.DIFFERENT
        return Verdict.WITHIN if abs(now - before) <= self.limit else Verdict.DIFFERENT

    @property
    def limit(self) -> float:
        """How far apart two such values may be by their seeds alone; 0 where nothing is known."""
        return _SURE * (self.spread or 0.0) * math.sqrt(2.0 / self.n_seeds)

    @property
    def unequal(self) -> list[Figure]:
        """The figures that are not equal, the objective first."""
        return [figure for figure in (self.objective, *self.others) if not figure.is_equal]

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "what": self.called,
            "verdict": str(self.verdict),
            "objective": self.objective.name,
            "recorded": _plain(self.objective.recorded),
            "again": _plain(self.objective.again),
            "limit": self.limit if self.spread is not None else None,
            "unequal": [figure.name for figure in self.unequal],
            "differences": list(self.differences),
        }


def _plain(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)


def figures_of(recorded: TrialResult, again: TrialResult, objective: str) -> Iterator[Figure]:
    """Yield what two trainings of a trial are compared by, besides the objective."""
    others = {name: value for name, value in recorded.metrics.items() if name != objective}
    yield from _paired("", others, again.metrics)
    yield Figure("number of fits", len(recorded.folds), len(again.folds))
    for first, second in zip(recorded.folds, again.folds, strict=False):
        fold = f"fold {first.fold}, " if len(recorded.folds) > 1 else ""
        yield Figure(f"{fold}epochs", len(first.curve), len(second.curve))
        for before, now in zip(first.curve, second.curve, strict=False):
            yield from _paired(f"{fold}epoch {int(before['epoch'])}, ", before, now)


def _paired(
    where: str, recorded: Mapping[str, float], again: Mapping[str, float]
) -> Iterator[Figure]:
    for name, value in recorded.items():
        yield Figure(f"{where}{name}", value, again.get(name))
