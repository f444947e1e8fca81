"""A tracker that keeps everything in memory, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.tracking.base import Progress, SearchRecord
from tuning.trial import Proposal, TrialResult


class MemoryTracker:
    """Holds what it was given, each record once.

    Attributes:
        searches, statuses: By search id.
        trials: By (search id, number, attempt).
        finalists: By (search id, number, index of the seed).
        curves: By search id, then finished trials.
    """

    def __init__(self) -> None:
        self.searches: dict[str, SearchRecord] = {}
        self.statuses: dict[str, str] = {}
        self.trials: dict[tuple[str, int, int], tuple[Proposal, TrialResult]] = {}
        self.finalists: dict[tuple[str, int, int, int], TrialResult] = {}
        self.curves: dict[str, dict[int, Progress]] = {}
        self.winners: dict[str, dict[str, Any]] = {}
        self.files: dict[str, set[str]] = {}
        self._now = ""

    def begin(self, search: SearchRecord) -> None:
        """Make `search` the one that the other methods are about."""
        self._now = search.id
        self.searches[search.id] = search
        self.statuses[search.id] = "running"

    def record_trial(self, proposal: Proposal, result: TrialResult) -> None:
        """Keep one finished trial."""
        self.trials.setdefault((self._now, result.number, result.attempt), (proposal, result))

    def record_progress(self, points: Sequence[Progress]) -> None:
        """Keep the points above the last one kept."""
        curve = self.curves.setdefault(self._now, {})
        last = max(curve, default=0)
        curve.update({point.finished: point for point in points if point.finished > last})

    def record_finalist(
        self, proposal: Proposal, index: int, result: TrialResult, version: int = 1
    ) -> None:
        """Keep one re-run."""
        self.finalists.setdefault((self._now, proposal.number, index, version), result)

    def record_winner(self, winner: Mapping[str, Any], model: Path | None) -> None:
        """Keep the winner; the model counts as a file."""
        self.winners[self._now] = dict(winner)
        if model is not None:
            self.files.setdefault(self._now, set()).add(model.name)

    def keep_files(self, path: Path) -> None:
        """Keep the name of a file, or the names of the files below a folder."""
        below = {str(item.relative_to(path)) for item in path.rglob("*") if item.is_file()}
        names = below if path.is_dir() else {path.name}
        self.files.setdefault(self._now, set()).update(names)

    def end(self, status: str, at: float) -> None:
        """Keep how it ended."""
        self.statuses[self._now] = status
