"""One search into both stores, MLflow and Optuna's; used by the writer process and by `sync`."""

from __future__ import annotations

import contextlib
import math
import os
import time
from pathlib import Path
from threading import Event, Thread

from tuning.ledger.model_file import changed
from tuning.ledger.placement import read_plan
from tuning.ledger.records import SearchHeader, SearchStatus
from tuning.ledger.search import PARETO_FILE
from tuning.ledger.usage import of_results, used_by_search
from tuning.schema import WRONG_SHAPE
from tuning.storage.durable import read_json, write_json
from tuning.tracking.base import SearchRecord, Tracker, progress_points
from tuning.tracking.mlflow_store import MLflowPlace, ensure_database
from tuning.tracking.mlflow_text import without_secrets
from tuning.tracking.mlflow_tracker import MlflowTracker
from tuning.tracking.optuna_storage import OptunaProjection, ensure_storage
from tuning.tracking.writer.feed import Feed, LedgerView
from tuning.tracking.writer.handle import Report
from tuning.tracking.writer.note import WriterNote

_SHOW_S = 10.0  # between two updates of a search's curve, which cost as much as a trial
_LOOK_S = 2.0  # the rest of a search, its finalists and curve, is looked at so often
_GATHER_S = 1.0  # trials that end within it are written together
_TURN_S = 0.02  # between two looks at what the threads have done
_READ = 500  # trials that are read before those who write them are woken
_WAIT_S = 3.0  # for a store that is behind, before more is read for one that has nothing to do
_CONNECT_S = 30.0  # the same for one that is not connected yet: MLflow's import alone takes seconds


class Projection:
    """Writes what the ledger holds of one search, as far as the stores let it.

    `step` writes in the caller's thread. `start` and `drain` have a thread for each store: one that
    hangs or is behind keeps nothing from the other.

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
        self._ending = False
        self._hurry = Event()  # nobody gathers any more
        self._read_at = -math.inf
        self._hanging: dict[str, int] = {}  # by store its cursor, when it was waited for in vain
        self._threads: list[Thread] = []
        self._news = [Event() for _ in self.feeds]

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
        while True:
            n_seen = self.view.poll(_READ)
            for feed in self.feeds:
                feed.step(ending and self.view.complete, until)
            self.view.forget(self._n_taken)
            if self.view.complete or not n_seen or time.monotonic() >= until:
                return

    def start(self) -> None:
        """Begin to write behind the caller, who goes on to `poll`."""
        if self._threads:
            return
        for feed, news in zip(self.feeds, self._news, strict=True):
            # A store that hangs must not keep the process from ending.
            thread = Thread(target=self._keep_writing, args=(feed, news), daemon=True)
            thread.start()
            self._threads.append(thread)

    def poll(self) -> int:
        """Read some of what is new, and wake those who write it; return how many trials.

        Nothing is read while the stores have enough to write: what they write is in memory then,
        and was read once for both.
        """
        self.view.forget(self._n_taken)
        if self._is_far_ahead():
            return 0
        n_seen = self.view.poll(_READ)
        self._read_at = time.monotonic()
        if n_seen or self.view.replaced:
            self._wake()
        return n_seen

    @property
    def _n_taken(self) -> int:
        """How many entries of the view's `order` every store has."""
        return min(feed.cursor for feed in self.feeds)

    def _is_far_ahead(self) -> bool:
        """Whether those who write have to come nearer before more is read.

        One that has nothing to do waits for the other only where that moves: not for one that is
        down, some seconds for one that is slow, and once for one that hangs. That one reads its
        trials again when it gets to them.
        """
        if self.view.n_recent <= _READ:
            return False
        open_feeds = [feed for feed in self.feeds if not feed.ended]
        if all(feed.behind for feed in open_feeds):
            return True

        busy = [
            feed
            for feed in open_feeds
            if feed.behind and not feed.fault and feed.cursor != self._hanging.get(feed.name)
        ]
        wait_s = _WAIT_S if all(feed.is_open for feed in busy) else _CONNECT_S
        if time.monotonic() < self._read_at + wait_s:
            return bool(busy)
        self._hanging = {feed.name: feed.cursor for feed in open_feeds if feed.behind}
        return False

    def drain(self, timeout_s: float) -> None:
        """Write everything, the end included, or leave off after `timeout_s`.

        The threads go on until `stop`.

        Raises:
            NewerFileError: A later release wrote a file of the search.
        """
        until = time.monotonic() + timeout_s
        self._hurry.set()
        self.start()
        while not self.ended and time.monotonic() < until:
            n_seen = self.poll()
            for feed in self.feeds:
                if feed.newer is not None:
                    raise feed.newer
            if self.view.complete and not self._ending:
                self._ending = True
                for feed in self.feeds:
                    feed.hurry()
                self._wake()
            if not n_seen:
                time.sleep(_TURN_S)

    def stop(self) -> None:
        """Have the threads end after what they are at; nobody waits for them."""
        for feed in self.feeds:
            feed.stopped = True
        self._hurry.set()
        self._wake()

    def _wake(self) -> None:
        for news in self._news:
            news.set()

    def _keep_writing(self, feed: Feed, news: Event) -> None:
        while not feed.ended and not feed.stopped:
            news.clear()
            feed.step(self._ending)
            # What a transaction costs, trials that end one after another pay once.
            self._hurry.wait(_GATHER_S)
            if not feed.ended:
                news.wait(min(feed.pause_s, _LOOK_S))

    def report(self, final: bool = False, pid: int = 0) -> Report:
        """Return how far it is.

        Args:
            final: This is the last report: also say what could not be written.
            pid: Of the writer that goes on after it; 0: none does.
        """
        behind = max(feed.behind for feed in self.feeds)
        warnings = list(self.damaged)
        if final:
            for feed in self.feeds:
                warnings += feed.warnings(pid)
            if self._tracker is not None and self._tracker.unkept:
                warnings.append(f"MLflow: {self._tracker.unkept}")
            warnings += filter(None, [self.view.damage])

        return Report(
            written=len(self.view.order) - behind,
            behind=behind,
            experiment_id=self._tracker.experiment_id if self._tracker else "",
            run_id=self._tracker.run_id if self._tracker else "",
            warnings=tuple(warnings),
            final=final,
            at=time.time(),
        )

    def note(self) -> WriterNote:
        """Return what a writer in the background says of itself."""
        open_feeds = [feed for feed in self.feeds if not feed.ended]
        n_unread = self.view.count_unread()
        return WriterNote(
            pid=os.getpid(),
            trials=len(self.view.order) + n_unread,
            behind={feed.name: feed.behind + n_unread for feed in open_feeds},
            faults={feed.name: feed.fault for feed in open_feeds if feed.fault},
            at=time.time(),
        )

    def _connect_mlflow(self, header: SearchHeader) -> MlflowTracker:
        # Whatever the last try failed over, the database may have been damaged meanwhile.
        self.report_damaged(ensure_database(self._uri))
        if self._tracker is None:
            self._tracker = MlflowTracker(self._uri, self._home)
        self._n_shown = 0  # the curve of a store made anew is written from its beginning
        self._tracker.begin(SearchRecord.from_header(header))

        place = MLflowPlace(
            tracking_uri=without_secrets(self._uri),
            experiment_id=self._tracker.experiment_id,
            run_id=self._tracker.run_id,
        )
        write_json(self.view.files.folder / "mlflow.json", place.to_json())
        return self._tracker

    def _connect_optuna(self, header: SearchHeader) -> OptunaProjection:
        self.report_damaged(ensure_storage(self._storage))
        if self._optuna is None:
            self._optuna = OptunaProjection(self._storage)
        self._optuna.begin(header)
        return self._optuna

    def _write_rest(self, ending: bool) -> None:
        """Write what MLflow shows besides trials: the curve, finalists, at the end the winner."""
        if self._tracker is None:
            return
        is_due = ending or time.monotonic() >= self._shown_at + _SHOW_S
        if is_due and len(self.view.order) > self._n_shown:
            self._show_progress(self._tracker)

        for (number, index), result in sorted(self.view.finalists.copy().items()):
            trial = self.view.trial(number)
            if trial is not None:
                self._tracker.record_finalist(trial.proposal, index, result, self.view.version)

        if ending:
            self._show_end(self._tracker)

    def _show_progress(self, tracker: Tracker) -> None:
        search = SearchRecord.from_header(self.view.files.require_header())
        results = [self.view.finished[number] for number in self.view.order.copy()]
        tracker.record_progress(progress_points(search, results))
        self._n_shown = len(results)
        self._shown_at = time.monotonic()

    def _show_end(self, tracker: Tracker) -> None:
        files = self.view.files
        winner = files.winner
        if winner is not None:
            model = files.folder / "winner.keras"
            # Without an evaluation an earlier winner's file may lie there.
            is_evaluated = winner.evaluation.model is not None
            is_whole = is_evaluated and not changed(winner.evaluation, model)
            tracker.record_winner(winner, model if is_whole else None)
        front = read_json(files.folder / "artifacts" / PARETO_FILE)
        if isinstance(front, dict):
            # A damaged one is only not shown; the next run writes it anew.
            with contextlib.suppress(*WRONG_SHAPE):
                tracker.record_front(front)

        plan = read_plan(files.folder)
        if plan is not None:
            tracker.record_plan(plan)

        report = self._home / "reports" / f"{files.require_header().id}.html"
        for path in (files.folder / "artifacts", report):
            if path.exists():
                tracker.keep_files(path)

        ended = [self.view.finished[number] for number in self.view.order.copy()]
        status = files.status or SearchStatus(status="interrupted", at=0.0)
        ended_at = max([status.at, *(trial.ended_at for trial in ended)]) or time.time()
        tracker.record_used(used_by_search(files.folder, of_results(ended)).total, ended_at)
        # The driver is gone, so a search that says "running" was killed, some time after it said
        # so: its last trial may be later than its status.
        word = "interrupted" if status.status == "running" else status.status
        tracker.end(word, ended_at)
