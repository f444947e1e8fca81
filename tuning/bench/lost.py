"""Trials of a benchmark that take their worker with them: which one, and what it is charged."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from tuning.ledger.records import Death
from tuning.ledger.search import SearchFiles
from tuning.trial import Status, TrialResult


@dataclass(frozen=True)
class LastReport:
    """The trial of a search that reported last.

    Attributes:
        number: The trial.
        began_at: When this attempt at it began, on the monotonic clock.
        epochs: How many it has reported, of all its fits together.
    """

    number: int
    began_at: float
    epochs: int

    @property
    def seconds(self) -> float:
        """Since the attempt began."""
        return time.monotonic() - self.began_at


def record_lost_trial(
    folder: Path, how: str, attempts: int, *, final: bool, last_report: LastReport | None = None
) -> bool:
    """Record that the trial that ran in a search's folder took its worker with it.

    Args:
        folder: Of the search.
        how: The worker's end, in words.
        attempts: After so many the trial counts as failed.
        final: It counts as failed at once.
        last_report: What the search reported last; if it is of this trial, what that had trained
            counts against the budget.

    Returns:
        Whether there was such a trial.
    """
    files = SearchFiles(folder)
    number = running_in(files)
    if number is None:
        return False

    attempt = _last_attempt(files, number)
    if attempt > 0:
        files.write_death(number, attempt, Death(cause="lost", detail=how))

    if final or files.deaths(number) >= attempts:
        failed = TrialResult(number, Status.FAILED, attempt=max(1, attempt), error=how)
        if last_report is not None and last_report.number == number:
            failed = replace(failed, epochs=last_report.epochs, seconds=last_report.seconds)
        files.write_result(failed)
    return True


def running_in(files: SearchFiles) -> int | None:
    """Return the trial that was proposed last, where it has no result; else None."""
    numbers = [int(path.parent.name) for path in files.folder.glob("trials/*/spec.json")]
    newest = max(numbers, default=None)
    if newest is None or files.result(newest) is not None:
        return None
    return newest


def _last_attempt(files: SearchFiles, number: int) -> int:
    """Return the number of a trial's last attempt, from 1; 0 where none has begun."""
    folders = files.trial_folder(number).glob("attempt-*")
    return max((int(folder.name.removeprefix("attempt-")) for folder in folders), default=0)
