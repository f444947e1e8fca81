"""Trials of a benchmark that take their worker with them: which one, and what it is charged."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tuning.ledger.deaths import death_file
from tuning.ledger.records import Death
from tuning.ledger.search import SearchFiles
from tuning.trial import Status, TrialResult

_MOST_OUT_OF_MEMORY = 2  # the second time its search was alone


class Attempt(NamedTuple):
    """A go at a trial, by its rank from 1."""

    number: int
    rank: int


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
    folder: Path,
    how: str,
    attempts: int,
    *,
    final: bool,
    cause: str = "lost",
    last_report: LastReport | None = None,
) -> bool:
    """Record that the trial that ran in a search's folder took its worker with it.

    A worker that ended before it had begun the trial, or begun it again, is not the trial's fault.

    Args:
        folder: Of the search.
        how: The worker's end, in words.
        attempts: After so many the trial counts as failed; of a lack of memory after two, the
            second of them alone.
        final: It counts as failed at once.
        cause: As in `Death`.
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
    has_begun = attempt > 0 and not death_file(files.trial_folder(number), attempt).exists()
    if has_begun:
        files.write_death(number, attempt, Death(cause=cause, detail=how))
    elif not final:
        return False

    if cause == "host_oom":
        too_often = files.deaths(number, cause) >= _MOST_OUT_OF_MEMORY
    else:
        too_often = files.deaths(number) >= attempts
    if final or too_often:
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


def attempt_in(files: SearchFiles) -> Attempt | None:
    """Return the last attempt at the trial that is open; None where none has begun."""
    number = running_in(files)
    rank = 0 if number is None else _last_attempt(files, number)
    return Attempt(number, rank) if number is not None and rank > 0 else None


def _last_attempt(files: SearchFiles, number: int) -> int:
    """Return the number of a trial's last attempt, from 1; 0 where none has begun."""
    folders = files.trial_folder(number).glob("attempt-*")
    return max((int(folder.name.removeprefix("attempt-")) for folder in folders), default=0)
