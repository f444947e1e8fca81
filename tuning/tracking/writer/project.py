"""One search into both stores: MLflow and Optuna's relational storage. Used by the writer process
and by `sync`.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

from tuning.ledger.records import SearchHeader
from tuning.storage.durable import write_json
from tuning.tracking.base import SearchRecord, Tracker, progress_points
from tuning.tracking.mlflow_records import without_secrets
from tuning.tracking.mlflow_store import ensure_database
from tuning.tracking.mlflow_tracker import MlflowTracker
from tuning.tracking.optuna_storage import OptunaProjection, ensure_storage
from tuning.tracking.writer.feed import Feed, LedgerView
from tuning.tracking.writer.handle import Report

_SHOW_S = 10.0  # between two updates of a search's curve, which cost as much as a trial


class Projection:
    """Writes what the ledger holds of one search, as far as the stores let it."""

    def __init__(self, folder: Path, home: Path, tracking_uri: str, storage: str) -> None:
        self.view = LedgerView(folder)
        self._home, self._uri, self._storage = home, tracking_uri, storage
        self._tracker: MlflowTracker | None = None
        self._optuna: OptunaProjection | None = None
        self._shown = 0
        self._shown_at = -math.inf
        self.aside: list[str] = []
        self.feeds = (
            Feed("MLflow", self.view, self._connect_mlflow, self._show_rest),
            Feed("Optuna's storage", self.view, self._connect_optuna),
        )

    def note(self, *databases: Path | None) -> None:
        """Remember where damaged databases were put, to be told."""
        told = "a damaged database was put aside as {}; `tuning sync` writes all searches anew"
        self.aside += [told.format(path) for path in databases if path is not None]

    @property
    def ended(self) -> bool:
        """Whether everything is in both stores, the end of the search included."""
        return all(feed.ended for feed in self.feeds)

    def step(self, ending: bool = False, until: float = float("inf")) -> None:
        """Look at the files and write what is missing; never raises for a store that is down."""
        self.view.poll()
        for feed in self.feeds:
            feed.step(ending, until)

    def drain(self, timeout_s: float) -> None:
        """Write everything, the end included, or give up after `timeout_s`."""
        until = time.monotonic() + timeout_s
        self.step(ending=True, until=until)
        while not self.ended and time.monotonic() < until:
            time.sleep(0.1)
            self.step(ending=True, until=until)

    def report(self, final: bool = False) -> Report:
        """Return how far it is; with `final`, also what could not be written."""
        behind = max(feed.behind for feed in self.feeds)
        missing = [warning for feed in self.feeds for warning in feed.warnings()] if final else []
        experiment, run = (
            (self._tracker.experiment_id, self._tracker.run_id) if self._tracker else ("", "")
        )
        return Report(
            len(self.view.finished) - behind, behind, experiment, run, (*self.aside, *missing)
        )

    def _connect_mlflow(self, header: SearchHeader) -> MlflowTracker:
        if self._tracker is None:
            self.note(ensure_database(self._uri))
            self._tracker = MlflowTracker(self._uri, self._home)
        self._tracker.begin(SearchRecord.from_header(header))
        ids = {"experiment_id": self._tracker.experiment_id, "run_id": self._tracker.run_id}
        write_json(
            self.view.files.folder / "mlflow.json",
            {"tracking_uri": without_secrets(self._uri), **ids},
        )
        return self._tracker

    def _connect_optuna(self, header: SearchHeader) -> OptunaProjection:
        if self._optuna is None:
            self.note(ensure_storage(self._storage))
            self._optuna = OptunaProjection(self._storage)
        self._optuna.begin(header)
        return self._optuna

    def _show_rest(self, view: LedgerView, ending: bool) -> None:
        tracker: Tracker | None = self._tracker
        if tracker is None:
            return
        if len(view.finished) > self._shown and (
            ending or time.monotonic() >= self._shown_at + _SHOW_S
        ):
            search = SearchRecord.from_header(view.files.require_header())
            tracker.record_progress(
                progress_points(search, [result for _, result in view.finished.values()])
            )
            self._shown, self._shown_at = len(view.finished), time.monotonic()
        for (number, index), result in sorted(view.finalists.items()):
            if number in view.finished:
                tracker.record_finalist(view.finished[number][0], index, result, view.version)
        if ending:
            self._show_end(tracker)

    def _show_end(self, tracker: Tracker) -> None:
        folder = self.view.files.folder
        winner = self.view.files.winner
        if winner is not None:
            model = folder / "winner.keras"
            tracker.record_winner(winner, model if model.is_file() else None)
        report = self._home / "reports" / f"{self.view.files.require_header().id}.html"
        for kept in (folder / "artifacts", report):
            if kept.exists():
                tracker.keep_files(kept)
        status = self.view.files.status
        word = "interrupted" if status is None else status.status
        said_at = 0.0 if status is None else status.at
        last = max((result.ended_at for _, result in self.view.finished.values()), default=0.0)
        # The driver is gone, so a search that says "running" was killed, some time after it said
        # so.
        at = max(said_at, last) or time.time()
        tracker.end("interrupted" if word == "running" else word, at)
