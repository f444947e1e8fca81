"""Which errors of a worker end the whole run."""

from __future__ import annotations

from tuning.errors import MissingError, StorageError, StudyError, TuningError
from tuning.executors.base import Raised
from tuning.storage.full_disk import says_full

_ERRORS: dict[int, type[TuningError]] = {2: StudyError, 3: MissingError, 75: StorageError}
"""By exit code. An error crosses from the worker as text, and is made anew here."""


def as_error(event: Raised) -> TuningError | None:
    """Return the error that ends the whole run, or None where only the job is at fault."""
    if event.exit_code == StorageError.exit_code and says_full(event.error):
        return StorageError(f"the disk is full ({event.error}). Free some space, then run again.")
    if event.exit_code is None:
        return None
    kind = _ERRORS.get(event.exit_code, TuningError)
    _, _, message = event.error.partition(": ")
    return kind(message)
