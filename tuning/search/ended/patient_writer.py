"""`PatientWriter`: a writer of a search that has ended, begun only where a store lacks something.

Its process imports MLflow and Optuna and looks through all trials: seconds, for nothing to write.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tuning.tracking.writer import Writer
from tuning.tracking.writer.handle import Report
from tuning.tracking.writer.written import is_written, place_of


class PatientWriter:
    """Stands for a `Writer`, and is one from the first notice, or where something is missing.

    Args:
        home: The state folder.
        start: Starts the writer's process.
    """

    def __init__(self, home: Path, start: Callable[[], Writer]) -> None:
        self.folder: Path | None = None
        self._home = home
        self._start = start
        self._writer: Writer | None = None
        self._stack = ExitStack()

    def begin(self, folder: Path) -> Self:
        """Name the search."""
        self.folder = folder
        return self

    def notify(self) -> None:
        """Say that there is something new."""
        self._begun().notify()

    def progress(self) -> Report:
        """Return how far it is; of a search that is written, where MLflow has it."""
        if self._writer is not None:
            return self._writer.progress()
        place = None if self.folder is None else place_of(self.folder)
        if place is None:
            return Report()
        return Report(experiment_id=place.experiment_id, run_id=place.run_id)

    def finish(
        self, timeout_s: float = 30.0, hurried: Callable[[], bool] = lambda: False
    ) -> list[str]:
        """Have everything written; return what could not be. See `Writer.finish`."""
        folder = self.folder
        if self._writer is None and folder is not None and is_written(folder, self._home):
            return []
        return self._begun().finish(timeout_s, hurried=hurried)

    def _begun(self) -> Writer:
        if self._writer is None:
            self._writer = self._stack.enter_context(self._start())
            if self.folder is not None:
                self._writer.begin(self.folder)
        return self._writer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stack.close()
