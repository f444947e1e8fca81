"""Trials of a benchmark that take their worker with them: which one it was, and what it is charged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tuning.ledger.records import Death
from tuning.ledger.search import SearchFiles
from tuning.trial import Status, TrialResult


@dataclass(frozen=True)
class LastReport:
    """The trial of a search that was heard of last.

    Attributes:
        number: The trial.
        began: When this attempt at it began, on the monotonic clock.
        epochs: How many it has reported, of all its fits together.
    """

    number: int
    began: float
    epochs: int

    @property
    def seconds(self) -> float:
        """Since the attempt began."""
        return time.monotonic() - self.began


def record_lost_trial(
    folder: Path, how: str, attempts: int, *, final: bool, heard: LastReport | None = None
) -> bool:
    """Keep that the trial that ran in a search's folder took its worker with it; return whether
    there was one.

    Args:
        folder: Of the search.
        how: The worker's end, in words.
        attempts: After so many the trial counts as failed.
        final: It counts so at once.
        heard: The trial last heard of: what it had trained counts against the budget.
    """
    files = SearchFiles(folder)
    number = running_in(files)
    if number is None:
        return False
    attempt = max(
        (int(path.name.removeprefix("attempt-")) for path in _attempts(files, number)), default=0
    )
    if attempt:
        files.write_death(number, attempt, Death(cause="lost", detail=how))
    if final or files.deaths(number) >= attempts:
        failed = TrialResult(number, Status.FAILED, attempt=max(1, attempt), error=how)
        if heard is not None and heard.number == number:
            failed = replace(failed, epochs=heard.epochs, seconds=heard.seconds)
        files.write_result(failed)
    return True


def _attempts(files: SearchFiles, number: int) -> Iterator[Path]:
    return files.trial_folder(number).glob("attempt-*")


def running_in(files: SearchFiles) -> int | None:
    """Return the trial that was asked for last, where it has no result."""
    numbers = [int(path.parent.name) for path in files.folder.glob("trials/*/spec.json")]
    newest = max(numbers, default=None)
    return None if newest is None or files.result(newest) is not None else newest
