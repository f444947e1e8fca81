"""One search into both stores, MLflow and Optuna's; used by the writer process and by `sync`."""

from __future__ import annotations

import math
import time
from pathlib import Path

from tuning.ledger.records import SearchHeader, SearchStatus
from tuning.ledger.search import PARETO_FILE
from tuning.storage.durable import read_json, write_json
from tuning.tracking.base import SearchRecord, Tracker, progress_points
from tuning.tracking.mlflow_store import MLflowPlace, ensure_database
from tuning.tracking.mlflow_text import without_secrets
from tuning.tracking.mlflow_tracker import MlflowTracker
from tuning.tracking.optuna_storage import OptunaProjection, ensure_storage
from tuning.tracking.writer.feed import Feed, LedgerView
from tuning.tracking.writer.handle import Report

_SHOW_S = 10.0  # between two updates of a search's curve, which cost as much as a trial


class Projection:
    """Writes what the ledger holds of one search, as far as the stores let it.

    Attributes:
        view: The search's files.
        feeds: One for each store.
        damaged: Where damaged databases were put, in words.

    Args:
        folder: The search's, `<home>/ledger/<study>/<key>`.
        home: The state folder.
        tracking_uri: MLflow's.
        storage: Optuna's.
    """

    def __init__(self, folder: Path, home: Path, tracking_uri: str, storage: str) -> None:
        self.view = LedgerView(folder)
        self._home = home
        self._uri = tracking_uri
        self._storage = storage
        self._tracker: MlflowTracker | None = None
        self._optuna: OptunaProjection | None = None

        self._n_shown = 0  # finished trials in the curve
        self._shown_at = -math.inf
        self.damaged: list[str] = []

        self.feeds = (
            Feed(
                name="MLflow",
                view=self.view,
                connect=self._connect_mlflow,
                write_rest=self._write_rest,
            ),
            Feed(name="Optuna's storage", view=self.view, connect=self._connect_optuna),
        )

    def report_damaged(self, *databases: Path | None) -> None:
        """Remember where damaged databases were put, for the warnings at the end."""
        self.damaged += [
            f"a damaged database was put aside as {path}; `tuning sync` writes all searches anew"
            for path in databases
            if path is not None
        ]

    @property
    def ended(self) -> bool:
        """Whether everything is in both stores, the end of the search included."""
        return all(feed.ended for feed in self.feeds)

    def step(self, ending: bool = False, until: float = math.inf) -> None:
        """Read the files and write what is missing; never raises for a store that is down."""
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
        warnings = list(self.damaged)
        if final:
            for feed in self.feeds:
                warnings += feed.warnings()

        return Report(
            written=len(self.view.finished) - behind,
            behind=behind,
            experiment_id=self._tracker.experiment_id if self._tracker else "",
            run_id=self._tracker.run_id if self._tracker else "",
            warnings=tuple(warnings),
        )

    def _connect_mlflow(self, header: SearchHeader) -> MlflowTracker:
        if self._tracker is None:
            self.report_damaged(ensure_database(self._uri))
            self._tracker = MlflowTracker(self._uri, self._home)
        self._tracker.begin(SearchRecord.from_header(header))

        place = MLflowPlace(
            tracking_uri=without_secrets(self._uri),
            experiment_id=self._tracker.experiment_id,
            run_id=self._tracker.run_id,
        )
        write_json(self.view.files.folder / "mlflow.json", place.to_json())
        return self._tracker

    def _connect_optuna(self, header: SearchHeader) -> OptunaProjection:
        if self._optuna is None:
            self.report_damaged(ensure_storage(self._storage))
            self._optuna = OptunaProjection(self._storage)
        self._optuna.begin(header)
        return self._optuna

    def _write_rest(self, ending: bool) -> None:
        """Write what MLflow shows besides trials: the curve, finalists, at the end the winner."""
        if self._tracker is None:
            return
        is_due = ending or time.monotonic() >= self._shown_at + _SHOW_S
        if is_due and len(self.view.finished) > self._n_shown:
            self._show_progress(self._tracker)

        for (number, index), result in sorted(self.view.finalists.items()):
            trial = self.view.finished.get(number)
            if trial is not None:
                self._tracker.record_finalist(trial.proposal, index, result, self.view.version)

        if ending:
            self._show_end(self._tracker)

    def _show_progress(self, tracker: Tracker) -> None:
        search = SearchRecord.from_header(self.view.files.require_header())
        results = [trial.result for trial in self.view.finished.values()]
        tracker.record_progress(progress_points(search, results))
        self._n_shown = len(results)
        self._shown_at = time.monotonic()

    def _show_end(self, tracker: Tracker) -> None:
        files = self.view.files
        winner = files.winner
        if winner is not None:
            model = files.folder / "winner.keras"
            tracker.record_winner(winner, model if model.is_file() else None)
        front = read_json(files.folder / "artifacts" / PARETO_FILE)
        if front is not None:
            tracker.record_front(front)

        report = self._home / "reports" / f"{files.require_header().id}.html"
        for path in (files.folder / "artifacts", report):
            if path.exists():
                tracker.keep_files(path)

        ends = [trial.result.ended_at for trial in self.view.finished.values()]
        status = files.status or SearchStatus(status="interrupted", at=0.0)
        # The driver is gone, so a search that says "running" was killed, some time after it said
        # so: its last trial may be later than its status.
        word = "interrupted" if status.status == "running" else status.status
        tracker.end(word, max([status.at, *ends]) or time.time())
