"""`Conclusion`: what follows the trials of a run: its winner, status, stores and summary.

It is the same whether the run has trained them or has found all of them in the files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tuning.engines.remote import EngineLost
from tuning.errors import SearchFailed, StorageError, TuningError
from tuning.ledger.placement import read_plan
from tuning.ledger.records import SearchStatus, counts
from tuning.ledger.trial_cache import keep_trials
from tuning.ledger.usage import used_by_search
from tuning.ledger.winner import WinnerRecord
from tuning.lr_range.plot import cards
from tuning.reports.cards import placement_card
from tuning.reports.summary import Summary
from tuning.search.finals import Finals, kept_winner
from tuning.search.lr_bounds import kept_tests
from tuning.search.opening import OpenRun
from tuning.search.outcome.elapsed import elapsed_before
from tuning.search.outcome.report import SearchReport
from tuning.search.outcome.summary import Seconds, summarize, with_place
from tuning.search.trial_index import Pair, TrialIndex
from tuning.storage.durable import write_bytes
from tuning.tracking.mlflow_store import tracking_uri
from tuning.trial import TrialResult


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run's trials have come to.

    Attributes:
        winner: None: none was chosen.
        failure: Why the search has failed; raised when everything is written. None: it has not.
    """

    winner: WinnerRecord | None
    failure: SearchFailed | None = None


class Conclusion:
    """Concludes one run; its caller says in which order.

    Attributes:
        report: Of the search.

    Args:
        run: What is open.
        trial_index: What is known of the search's trials, also while they are trained.
    """

    def __init__(self, run: OpenRun, trial_index: TrialIndex) -> None:
        self.report = SearchReport(run.search.files, run.search.study, run.home / "reports")
        self._run = run
        self._study = run.search.study
        self._files = run.search.files
        self._stop_request = run.stop_request
        self._trial_index = trial_index
        self._before = elapsed_before(run.search.files)
        self._elapsed = self._before

    # While it runs.

    @contextmanager
    def errors_in_status(self) -> Iterator[None]:
        """Have the files say that the run is over, whatever error ends this block."""
        try:
            yield
        except SearchFailed:
            raise  # its status is written
        except BaseException as error:  # whatever it is: nobody shall read "running"
            status = self._stop_request.reason if self._stop_request.by_signal else "failed"
            with suppress(StorageError, OSError):
                self.write_status(status, str(error))
            raise

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Have signals set flags alone in this block, and let the study's time run out."""
        with self._stop_request.flags_only():
            if self._study.timeout is not None:
                self._stop_request.deadline = self._run.began + self._study.timeout
            yield

    def announce(self, earlier: Sequence[TrialResult]) -> None:
        """Begin to show the run.

        Args:
            earlier: How the trials of the runs before ended, in the order in which they are shown.
        """
        progress = self._run.progress
        progress.start(
            f"{self._study.name} · {self._study.engine}",
            self._study.trials,
            metric=self._study.objective.metric,
            earlier=earlier,
            best=self._trial_index.best,
        )
        for notice in (*self._study.notices, *self._run.search.known.notices):
            progress.notice(notice)

    def write_status(self, status: str, error: str = "") -> None:
        """Keep how the run ends, or that it runs, and have the stores told."""
        self._elapsed = self._before.and_now(time.monotonic() - self._run.began)
        self._files.write_status(
            SearchStatus(
                status=status,
                counts=counts(self._trial_index.statuses),
                error=error,
                at=time.time(),
                seconds=self._elapsed.seconds,
                runs=self._elapsed.runs,
            )
        )
        self._run.projections.notify()

    # The winner.

    def outcome_of(self, search: Callable[[], WinnerRecord | None]) -> Outcome:
        """Return what a search comes to, signals and failures included.

        Args:
            search: Searches and chooses the winner; None where a signal came before there was one.

        Raises:
            TuningError: Study, data, disk, engine or device are at fault, not a signal.
        """
        winner: WinnerRecord | None = None
        failure: SearchFailed | None = None
        try:
            winner = search()
        except SearchFailed as error:
            failure = error
        except TuningError:
            # The engine or the workers may have been told to end as we were.
            if not self._stop_request.by_signal_soon():
                raise
        except (KeyboardInterrupt, SystemExit):  # while a device was waited for
            winner = None

        if winner is None and self._stop_request.by_signal:
            winner = self._earlier_winner()
        return Outcome(winner=winner, failure=failure)

    def choose_winner(self, *, load_libraries: bool, exhausted: bool) -> WinnerRecord | None:
        """Train the finalists and evaluate the best; what is kept of that is not done again.

        Args:
            load_libraries: Whether a report will be written.
            exhausted: Whether the engine has nothing left to propose.

        Returns:
            The winner; None where a signal came before there was one.

        Raises:
            SearchFailed: No trial was completed, or none was stable on fresh seeds.
        """
        if self._stop_request.by_signal:
            return None
        if load_libraries:
            # While the finalists train.
            self.report.prepare(counts(self._trial_index.statuses)["completed"])

        finals = self._finals()
        winner = finals.run(self._trial_index)
        if winner is not None and winner.evaluation.file_fault:
            self._run.progress.notice(winner.evaluation.file_fault)
        # Else a larger budget may still continue a trial from its checkpoint.
        if winner is not None and exhausted:
            finals.tidy()
        return winner

    def _finals(self) -> Finals:
        return Finals(
            study=self._study,
            source=self._run.source,
            overrides=self._study.for_workers(self._run.search.options.overrides),
            executor=self._run.executor,
            files=self._files,
            progress=self._run.progress,
            stop_request=self._stop_request,
            on_tick=self._run.tick,
        )

    def _earlier_winner(self) -> WinnerRecord | None:
        winner = kept_winner(self._files, self._run.progress.notice)
        if winner is not None:
            self._run.progress.notice(
                "stopped before its finals: the winner shown is that of an earlier run"
            )
        return winner

    # The end.

    def status_of(self, outcome: Outcome, ended: str) -> str:
        """Return how the run ends.

        Args:
            outcome: What its trials have come to.
            ended: How their search ended, where neither a signal nor a failure ends it.
        """
        if self._stop_request.by_signal:
            return self._stop_request.reason
        return ended if outcome.failure is None else "failed"

    def close_processes(self) -> None:
        """Give the devices back before the report is written.

        After a signal the engine is not asked for its files; one that was not begun has none.
        """
        processes = self._run.processes
        self._run.executor.close()
        if not self._stop_request.by_signal and processes.engine.begun:
            self._keep_artifacts()
        processes.close(at_once=self._stop_request.by_signal)

    def _keep_artifacts(self) -> None:
        """Keep the engine's own files; the winner is there, whatever becomes of them."""
        try:
            artifacts = self._run.processes.engine.artifacts()
        except TuningError as error:
            if not isinstance(error, EngineLost) and not self._stop_request.by_signal:
                raise
            self._run.projections.warnings.append(f"the engine's own files are missing: {error}")
            return
        for name, text in artifacts.items():
            write_bytes(self._files.folder / "artifacts" / name, text.encode())

    def read_trials(self) -> list[Pair]:
        """Return all trials with their curves, and keep them without for the next command.

        Read once: 10,000 are 100 MB.
        """
        # Before the reading: what changes in it is read again by the next command.
        read_at_ns = time.time_ns()
        trials = self._trial_index.trials
        keep_trials(self._files, trials, read_at_ns)
        return trials

    def write_report(self, trials: Sequence[Pair], outcome: Outcome) -> Path | None:
        """Write the report of these trials; return its path, None where there is none."""
        folder = self._files.folder
        more = cards(kept_tests(folder)) + placement_card(read_plan(folder))
        return self.report.write(trials, outcome.winner, more)

    def finish(
        self,
        outcome: Outcome,
        status: str,
        *,
        trials: Sequence[Pair] | None,
        report: Path | None,
        first_trial_at: float | None = None,
    ) -> Summary:
        """Bring the stores up to date; return the summary. Its status is written before.

        Args:
            outcome: What the trials have come to.
            status: How the run ends.
            trials: All that have ended; None: they have not been read, and are now.
            report: The path of the report; None: there is none.
            first_trial_at: When the first trial of this run began; None: none was trained.

        Raises:
            SearchFailed: The search has failed; with the summary.
        """
        self._run.projections.catch_up()
        self._run.progress.stop()

        summary = summarize(
            self._study,
            self._trial_index.trials if trials is None else trials,
            outcome.winner,
            search=self._files.require_header().id,
            status=status,
            seconds=self._seconds(first_trial_at),
            report=report,
            warnings=self._run.projections.warnings,
        )
        written = self._run.projections.progress()
        summary = with_place(summary, written, tracking_uri(self._run.home))
        if outcome.failure is not None:
            outcome.failure.summary = summary
            raise outcome.failure
        return summary

    def _seconds(self, first_trial_at: float | None) -> Seconds:
        began = self._run.began
        return Seconds(
            total_s=time.monotonic() - began,
            startup_s=0.0 if first_trial_at is None else first_trial_at - began,
            training_s=self._trial_index.training_s,
            elapsed=self._elapsed,
            used=used_by_search(self._files.folder, self._trial_index.usage).total,
        )
