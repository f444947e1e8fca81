"""What a worker is given for a trial, and which of its errors end the whole run."""

from __future__ import annotations

from pathlib import Path

from tuning.errors import MissingError, StorageError, StudyError, TuningError
from tuning.executors.base import Raised
from tuning.ledger.search import SearchFiles
from tuning.storage.full_disk import says_full
from tuning.study.info import StudyInfo
from tuning.trial import Proposal
from tuning.trials.jobs import Overrides, Source, TrialJob

_ERRORS: dict[int, type[TuningError]] = {2: StudyError, 3: MissingError, 75: StorageError}
"""By exit code. An error crosses from the worker as text, and is made anew here."""


def function_of(study: StudyInfo) -> str:
    """Return what a worker calls for a trial, as a `Job` names it."""
    return study.engine_spec.trial_function or "tuning.trials.trial:run_trial"


def trial_job(
    study: StudyInfo,
    source: Source,
    overrides: Overrides,
    files: SearchFiles,
    *,
    proposal: Proposal,
    attempt: int,
    score_test: bool = False,
) -> TrialJob:
    """Return the argument of that function."""
    return TrialJob(
        source=source,
        overrides=overrides,
        proposal=proposal,
        folder=files.trial_folder(proposal.number),
        attempt=attempt,
        parent=_parent_folder(files, proposal),
        keep_end=study.engine_spec.continues_trials,
        lockstep=study.fits_together,
        pinned=study.pinned,
        score_test=score_test,
    )


def _parent_folder(files: SearchFiles, proposal: Proposal) -> Path | None:
    """Return the folder with the checkpoint that a trial continues.

    Where the parent's result was copied from an equal trial, that one has the checkpoint.
    """
    if proposal.parent is None or not proposal.continued:
        return None
    parent = files.result(proposal.parent)
    if parent is None or parent.copied_from is None:
        return files.trial_folder(proposal.parent)
    return files.trial_folder(parent.copied_from)


def as_error(event: Raised) -> TuningError | None:
    """Return the error that ends the whole run, or None where only the job is at fault."""
    if event.exit_code == StorageError.exit_code and says_full(event.error):
        return StorageError(f"the disk is full ({event.error}). Free some space, then run again.")
    if event.exit_code is None:
        return None
    kind = _ERRORS.get(event.exit_code, TuningError)
    _, _, message = event.error.partition(": ")
    return kind(message)
