"""`SearchReport`: the HTML report of one search, kept where it would come out the same."""

from __future__ import annotations

import threading
from pathlib import Path

from tuning.ledger.search import PARETO_FILE, SearchFiles
from tuning.ledger.usage import of_results, used_by_search
from tuning.ledger.winner import WinnerRecord
from tuning.reports.html import load_libraries, write_report
from tuning.reports.summary import Trials, pareto_front
from tuning.search.ended.kept_report import kept_report, remember_report
from tuning.storage.durable import write_json
from tuning.study.info import StudyInfo


class SearchReport:
    """Writes the report of a search, or says that the one that is there still holds.

    Args:
        files: Of the search.
        study: What is searched.
        folder: In which reports lie; it need not be there.
    """

    def __init__(self, files: SearchFiles, study: StudyInfo, folder: Path) -> None:
        self._files = files
        self._study = study
        self._folder = folder
        self._libraries: threading.Thread | None = None

    def kept(self) -> Path | None:
        """Return the report that is there, where it shows the search's files as they are now."""
        return kept_report(self._files.folder, self._folder)

    def prepare(self, n_completed: int) -> None:
        """Begin to import what `write` needs, beside whatever is done until then.

        Args:
            n_completed: Completed trials; enough of them need more libraries.
        """
        self._libraries = load_libraries(n_completed)

    def write(
        self, trials: Trials, winner: WinnerRecord | None, range_tests: str = ""
    ) -> Path | None:
        """Write the report, and before it the Pareto front where there is one.

        Args:
            trials: All that have ended, with their curves.
            winner: None: none was chosen.
            range_tests: Cards (HTML) of the range tests that bound a learning rate.

        Returns:
            Its path; None where there is nothing to show.

        Raises:
            StorageError: The disk is full or read-only.
        """
        self._keep_front(trials)
        if not trials:
            return None
        if self._libraries is not None:
            # Plotly looks for pandas among the loaded modules, and would take half of it.
            self._libraries.join()

        of_trials = of_results(result for _, result in trials)
        report = write_report(
            self._folder,
            header=self._files.require_header(),
            trials=trials,
            winner=winner,
            space=self._study.space,
            objective=self._study.objective,
            range_tests=range_tests,
            used=used_by_search(self._files.folder, of_trials).total,
        )
        # Last: its mark holds the stamps of all files that the report shows.
        remember_report(self._files.folder, report)
        return report

    def _keep_front(self, trials: Trials) -> None:
        """Keep the Pareto front among the files that MLflow is given, where there is one."""
        front = pareto_front(trials, self._study.objectives)
        if front is not None:
            write_json(self._files.folder / "artifacts" / PARETO_FILE, front.to_json())
