"""A tracker that keeps everything in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tuning.errors import TrialError
from tuning.ledger.placement import PlanRecord
from tuning.ledger.usage import Usage
from tuning.ledger.winner import WinnerRecord
from tuning.schema import Json
from tuning.tracking.base import Progress, SearchRecord
from tuning.trial import Proposal, TrialResult


class TrialKey(NamedTuple):
    """What tells one trial's record from all others."""

    search: str
    number: int
    attempt: int


class FinalistKey(NamedTuple):
    """What tells one finalist's record from all others."""

    search: str
    number: int
    seed_index: int
    version: int


class MemoryTracker:
    """Holds every record once.

    Attributes:
        searches, statuses, winners, fronts, plans, used: By search id.
        curves: By search id, then finished trials.
        files: Names, by search id.
    """

    def __init__(self) -> None:
        self.searches: dict[str, SearchRecord] = {}
        self.statuses: dict[str, str] = {}
        self.trials: dict[TrialKey, TrialResult] = {}
        self.finalists: dict[FinalistKey, TrialResult] = {}
        self.curves: dict[str, dict[int, Progress]] = {}
        self.winners: dict[str, WinnerRecord] = {}
        self.fronts: dict[str, Json] = {}
        self.plans: dict[str, PlanRecord] = {}
        self.used: dict[str, Usage] = {}
        self.files: dict[str, set[str]] = {}
        self._search = ""

    def begin(self, search: SearchRecord) -> None:
        """Make `search` the one that the other methods are about."""
        self._search = search.id
        self.searches[search.id] = search
        self.statuses[search.id] = "running"

    def record_trial(self, proposal: Proposal, result: TrialResult) -> None:
        """Keep one finished trial."""
        key = TrialKey(self._search, result.number, result.attempt)
        if key in self.trials:
            return
        for other in [other for other in self.trials if other[:2] == key[:2]]:
            del self.trials[other]
        self.trials[key] = result

    def record_trials(self, trials: Sequence[tuple[Proposal, TrialResult]]) -> list[TrialError]:
        """Keep finished trials."""
        for proposal, result in trials:
            self.record_trial(proposal, result)
        return []

    def record_progress(self, points: Sequence[Progress]) -> None:
        """Keep the points above the last one kept."""
        curve = self.curves.setdefault(self._search, {})
        last = max(curve, default=0)
        for point in points:
            if point.finished > last:
                curve[point.finished] = point

    def record_finalist(
        self, proposal: Proposal, index: int, result: TrialResult, version: int = 1
    ) -> None:
        """Keep one re-run."""
        key = FinalistKey(self._search, proposal.number, index, version)
        self.finalists.setdefault(key, result)

    def record_winner(self, winner: WinnerRecord, model: Path | None) -> None:
        """Keep the winner; the model counts as a file."""
        self.winners[self._search] = winner
        if model is not None:
            self.keep_files(model)

    def record_front(self, front: Json) -> None:
        """Keep the front."""
        self.fronts[self._search] = front

    def record_plan(self, plan: PlanRecord) -> None:
        """Keep the plan."""
        self.plans[self._search] = plan

    def record_used(self, used: Usage, at: float) -> None:
        """Keep what it has used."""
        self.used[self._search] = used

    def keep_files(self, path: Path) -> None:
        """Keep the name of a file, or the names of the files below a folder."""
        names = self.files.setdefault(self._search, set())
        if not path.is_dir():
            names.add(path.name)
            return
        for file in path.rglob("*"):
            if file.is_file():
                names.add(str(file.relative_to(path)))

    def end(self, status: str, at: float) -> None:
        """Keep how it ended."""
        self.statuses[self._search] = status
