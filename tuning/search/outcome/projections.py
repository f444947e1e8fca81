"""`Projections`: MLflow and Optuna's storage, which a run's writer brings up to date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuning.reports.progress import Progress
from tuning.search.ended.patient_writer import PatientWriter
from tuning.tracking.writer import Writer
from tuning.tracking.writer.handle import Report

# What MLflow may take at the end; what is missing then, `tuning sync` writes.
_WRITER_S = 30.0
_HURRIED_WRITER_S = 5.0  # the writer itself goes on


class Projections:
    """The stores of one run, behind its writer.

    Attributes:
        warnings: What could not be written, and what to do; told at the end.

    Args:
        writer: Of the run.
        progress: Told what happens.
        hurried: Whether everything that can be done later is left out.
    """

    def __init__(
        self, writer: Writer | PatientWriter, progress: Progress, hurried: Callable[[], bool]
    ) -> None:
        self.warnings: list[str] = []
        self._writer = writer
        self._progress = progress
        self._hurried = hurried
        self._caught_up = False

    def begin(self, folder: Path) -> None:
        """Name the search, `<home>/ledger/<study>/<key>`; its `search.json` holds from now on."""
        self._writer.begin(folder)

    def notify(self) -> None:
        """Say that there is something new in the search's files."""
        self._writer.notify()

    def progress(self) -> Report:
        """Return how far the writer is, and where MLflow has the search."""
        return self._writer.progress()

    def catch_up(self) -> None:
        """Have everything written, once; call it also on the way out of an error.

        Before `begin` there is nothing to write.
        """
        if self._caught_up or self._writer.folder is None:
            return
        # Before it is done: a Ctrl-C in it must not have the way out begin it again.
        self._caught_up = True

        self._progress.phase("writing to MLflow")
        timeout_s = _HURRIED_WRITER_S if self._hurried() else _WRITER_S
        self.warnings += self._writer.finish(timeout_s, hurried=self._hurried)
        for warning in self.warnings:
            self._progress.notice(warning)
