"""`BenchRun`: how one search of a benchmark went; `run.json` in its folder, once it has ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tuning.bench.statistics.records import AnytimeRun
from tuning.ledger.damage import OnDamage, leave_out
from tuning.ledger.records import read_record, write_record
from tuning.schema import SCHEMA, Json, check_schema
from tuning.trial import Params

_NAME = "run.json"


@dataclass(frozen=True, kw_only=True)
class TrialCounts:
    """Trials of a search by outcome; diverged ones count as failed.

    Attributes:
        copied: How many of them have the result of an equal trial, and were not trained.
    """

    completed: int = 0
    pruned: int = 0
    failed: int = 0
    infeasible: int = 0
    copied: int = 0

    @property
    def total(self) -> int:
        """Trials that have ended."""
        return self.completed + self.pruned + self.failed + self.infeasible


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """The best trial of a search.

    Attributes:
        number: The trial.
        params: Its parameters.
        value: Its validation value.
        test: The score of its weights on the test part; None where that was lost.
    """

    number: int
    params: Params
    value: float
    test: float | None


@dataclass(frozen=True, kw_only=True)
class BenchRun:
    """How one search went.

    Attributes:
        curve: The incumbent over the budget.
        search: Id of the search, unique in the world.
        pinned: The definition and the data it was done with.
        ended: "budget", "exhausted" (the engine had no more to propose) or "failed".
        error: Why it failed, else "".
        counts: Its trials.
        best: The incumbent at the end; None where no trial was completed.
        at: When it ended, seconds since the epoch.
    """

    curve: AnytimeRun
    search: str
    pinned: str
    ended: str
    error: str = ""
    counts: TrialCounts = field(default_factory=TrialCounts)
    best: Incumbent | None = None
    at: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs used in all."""
        return self.curve.epochs[-1] if self.curve.epochs else 0

    @property
    def seconds(self) -> float:
        """Seconds of training in all."""
        return self.curve.seconds[-1] if self.curve.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; a search without an incumbent has an empty `best`."""
        return {
            "schema": SCHEMA,
            "curve": self.curve.to_json(),
            "search": self.search,
            "pinned": self.pinned,
            "ended": self.ended,
            "error": self.error,
            "counts": asdict(self.counts),
            "best": {} if self.best is None else asdict(self.best),
            "at": self.at,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Return the run that `to_json` or release 0.1 wrote.

        Raises:
            NewerFileError: A later release wrote it.
        """
        check_schema(stored, _NAME)
        best = stored["best"]
        return cls(
            curve=AnytimeRun.from_json(stored["curve"]),
            search=stored["search"],
            pinned=stored["pinned"],
            ended=stored["ended"],
            error=stored["error"],
            counts=TrialCounts(**stored["counts"]),
            best=Incumbent(**best) if best else None,
            at=stored["at"],
        )

    def write(self, folder: Path) -> None:
        """Write `run.json`.

        Raises:
            StorageError: The disk is full or read-only.
        """
        write_record(folder / _NAME, self)

    @classmethod
    def read(cls, folder: Path, *, on_damage: OnDamage = leave_out) -> Self | None:
        """Return what `write` wrote; None where the search has not ended, or the file is damaged.

        Args:
            folder: Of the search.
            on_damage: Told of a damaged file; the search is looked at anew then.

        Raises:
            NewerFileError: A later release wrote it.
        """
        return read_record(cls, folder / _NAME, on_damage=on_damage)
