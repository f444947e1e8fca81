"""What came of a search of a benchmark: its anytime curve, its incumbent, its trials counted."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.bench.budget import Budget
from tuning.bench.meter import Cost, Meter
from tuning.bench.runs import Incumbent, TrialCounts
from tuning.bench.statistics.records import AnytimeRun
from tuning.ledger.records import counts
from tuning.ledger.results import read_test_score
from tuning.ledger.search import SearchFiles
from tuning.search.trial_index import TrialIndex
from tuning.study.info import StudyInfo
from tuning.trial import Status, TrialResult


def anytime_run(
    info: StudyInfo,
    trial_index: TrialIndex,
    files: SearchFiles,
    meter: Meter,
    *,
    engine: str,
    seed: int,
    asked_s: Sequence[float],
) -> AnytimeRun:
    """Return the curve of a search that has ended.

    Each trial counts with what it cost, whatever its outcome. One that the budget has stopped
    brings nothing; its cost up to the budget ends the curve.

    Args:
        info: The study.
        trial_index: All trials of the search.
        files: Where their test scores are.
        meter: Knows what each trial cost.
        engine: Its name, with its pruner.
        seed: The bench seed's index.
        asked_s: The engine's own seconds for each proposal.
    """
    curve = _Curve(meter.budget)
    best: TrialResult | None = None
    test: float | None = None
    for _, result in trial_index.trials:
        cost = meter.costs.get(result.number)
        if cost is None:  # the engine was not told of it: the search failed before
            continue
        if _beats(info, result, best):
            best = result
            test = _test_score(files, result)
        curve.add(cost, best, test)

    if meter.stopped_at is not None:
        curve.end(meter.stopped_at, best, test)

    return AnytimeRun(
        study=info.name,
        engine=engine,
        seed=seed,
        direction=info.objective.direction,
        metric=info.objective.metric,
        epochs=tuple(curve.epochs),
        seconds=tuple(curve.seconds),
        values=tuple(curve.values),
        tests=tuple(curve.tests),
        asked_s=tuple(asked_s),
    )


def incumbent_of(trial_index: TrialIndex, files: SearchFiles) -> Incumbent | None:
    """Return the best trial of a search; None where none was completed."""
    best = trial_index.best
    if best is None or best.value is None:
        return None
    return Incumbent(
        number=best.number,
        params=dict(trial_index.proposals[best.number].params),
        value=best.value,
        test=_test_score(files, best),
    )


def count_trials(trial_index: TrialIndex) -> TrialCounts:
    """Count a search's trials by outcome."""
    copied = sum(result.copied_from is not None for _, result in trial_index.trials)
    return TrialCounts(**counts(trial_index.statuses), copied=copied)


class _Curve:
    """A curve that grows by a trial at a time."""

    def __init__(self, budget: Budget) -> None:
        self.epochs: list[int] = []
        self.seconds: list[float] = []
        self.values: list[float | None] = []
        self.tests: list[float | None] = []
        self._budget = budget
        self._used = Cost(0, 0.0)

    def add(self, cost: Cost, best: TrialResult | None, test: float | None) -> None:
        """Add a trial that has ended, and the incumbent after it.

        A copied result's cost beyond the budget is cut off; nothing that was trained lies there.
        """
        epochs = self._used.epochs + cost.epochs
        seconds = self._used.seconds + cost.seconds
        if self._budget.kind == "epochs":
            epochs = min(epochs, int(self._budget.amount))
        if self._budget.kind == "time":
            seconds = min(seconds, float(self._budget.amount))
        self._append(Cost(epochs, seconds), best, test)

    def end(self, used: Cost, best: TrialResult | None, test: float | None) -> None:
        """End the curve where the budget has stopped a trial; `used` is the cost of all of them."""
        epochs = max(self._used.epochs, used.epochs)
        seconds = max(self._used.seconds, used.seconds)
        self._append(Cost(epochs, seconds), best, test)

    def _append(self, used: Cost, best: TrialResult | None, test: float | None) -> None:
        self._used = used
        self.epochs.append(used.epochs)
        self.seconds.append(used.seconds)
        self.values.append(None if best is None else best.value)
        self.tests.append(test)


def _test_score(files: SearchFiles, result: TrialResult) -> float | None:
    """Return the test score of a trial, of a copied one that of the trial that was trained."""
    trained = result.number if result.copied_from is None else result.copied_from
    return read_test_score(files.trial_folder(trained))


def _beats(info: StudyInfo, result: TrialResult, best: TrialResult | None) -> bool:
    if result.status is not Status.COMPLETED or result.value is None:
        return False
    if best is None or best.value is None:
        return True
    return info.objective.better(result.value, best.value)
