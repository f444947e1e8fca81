"""`BenchRun`: how one search of a benchmark went, kept in its folder as `run.json` once it has
ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tuning.bench.budget import Meter
from tuning.bench.statistics.records import AnytimeRun
from tuning.ledger.results import read_test_score
from tuning.ledger.search import SearchFiles, counts
from tuning.search.trial_index import TrialIndex
from tuning.storage.durable import read_json, write_json
from tuning.study.info import StudyInfo
from tuning.trial import Status, TrialResult

_NAME = "run.json"


@dataclass(frozen=True)
class BenchRun:
    """How one search went.

    Attributes:
        curve: The incumbent over the budget.
        search: Id of the search, unique in the world.
        pinned: The definition and the data it was done with.
        ended: "budget", "exhausted" (the engine had no more to propose) or "failed".
        error: Why it failed, else "".
        counts: Trials by outcome, and how many of them were `copied` from an equal one.
        best: `number`, `params`, `value` and `test` of the incumbent at the end; empty where no
            trial was completed.
        at: When it ended, seconds since the epoch.
    """

    curve: AnytimeRun
    search: str
    pinned: str
    ended: str
    error: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs used in all."""
        return self.curve.epochs[-1] if self.curve.epochs else 0

    @property
    def seconds(self) -> float:
        """Seconds of training in all."""
        return self.curve.seconds[-1] if self.curve.seconds else 0.0

    def keep(self, folder: Path) -> None:
        """Write `run.json`."""
        write_json(folder / _NAME, {**asdict(self), "curve": self.curve.to_json()})

    @classmethod
    def kept(cls, folder: Path) -> Self | None:
        """Return what `keep` wrote; None where the search has not ended."""
        stored = read_json(folder / _NAME)
        return (
            None
            if stored is None
            else cls(**{**stored, "curve": AnytimeRun.from_json(stored["curve"])})
        )


def anytime(
    record: StudyInfo,
    trial_index: TrialIndex,
    files: SearchFiles,
    meter: Meter,
    *,
    choice: str,
    seed: int,
    asked_s: Sequence[float],
) -> AnytimeRun:
    """Return the curve of a search that has ended.

    Each trial counts with what it cost, whatever its outcome; one that the budget has stopped
    brings nothing, its cost up to the budget ends the curve.
    """
    epochs, seconds = [0], [0.0]
    values: list[float | None] = []
    tests: list[float | None] = []
    best, test = None, None
    for _, result in trial_index.trials:
        if result.number not in meter.ended:  # not told: the search failed before
            continue
        cost = meter.ended[result.number]
        epochs.append(_within(epochs[-1] + cost.epochs, meter, "epochs"))
        seconds.append(_within(seconds[-1] + cost.seconds, meter, "time"))
        if _beats(record, result, best):
            best = result
            test = read_test_score(files.trial_folder(_trained(result)))
        values.append(None if best is None else best.value)
        tests.append(test)
    if meter.stopped is not None:
        epochs.append(max(epochs[-1], meter.stopped.epochs))
        seconds.append(max(seconds[-1], meter.stopped.seconds))
        values.append(None if best is None else best.value)
        tests.append(test)
    return AnytimeRun(
        study=record.name,
        engine=choice,
        seed=seed,
        direction=record.objective.direction,
        metric=record.objective.metric,
        epochs=tuple(epochs[1:]),
        seconds=tuple(seconds[1:]),
        values=tuple(values),
        tests=tuple(tests),
        asked_s=tuple(asked_s),
    )


def best_of(trial_index: TrialIndex, files: SearchFiles) -> dict[str, Any]:
    """Return what `BenchRun.best` holds."""
    best = trial_index.best
    if best is None:
        return {}
    test = read_test_score(files.trial_folder(_trained(best)))
    params = dict(trial_index.proposals[best.number].params)
    return {"number": best.number, "params": params, "value": best.value, "test": test}


def counted(trial_index: TrialIndex) -> dict[str, int]:
    """Return what `BenchRun.counts` holds."""
    copied = sum(result.copied_from is not None for _, result in trial_index.trials)
    return {**counts(trial_index.statuses), "copied": copied}


def _trained(result: TrialResult) -> int:
    return result.number if result.copied_from is None else result.copied_from


def _beats(record: StudyInfo, result: TrialResult, best: TrialResult | None) -> bool:
    if result.status is not Status.COMPLETED or result.value is None:
        return False
    return best is None or best.value is None or record.objective.better(result.value, best.value)


def _within(used: Any, meter: Meter, kind: str) -> Any:
    """Cut what a copied result costs beyond the budget; nothing that was trained is."""
    return min(used, type(used)(meter.budget.amount)) if meter.budget.kind == kind else used
