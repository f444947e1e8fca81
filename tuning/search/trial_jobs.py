"""What a worker is given for a trial."""

from __future__ import annotations

from pathlib import Path

from tuning.ledger.search import SearchFiles
from tuning.study.info import StudyInfo
from tuning.trial import Proposal
from tuning.trials.jobs import Overrides, Source, TrialJob


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
        parent=parent_folder(files, proposal),
        keep_end=study.engine_spec.continues_trials,
        lockstep=study.fits_together,
        pinned=study.pinned,
        score_test=score_test,
    )


def parent_folder(files: SearchFiles, proposal: Proposal) -> Path | None:
    """Return the folder with the checkpoint that a trial continues.

    Where the parent's result was copied from an equal trial, that one has the checkpoint.
    """
    if proposal.parent is None or not proposal.continued:
        return None
    parent = files.result(proposal.parent)
    if parent is None or parent.copied_from is None:
        return files.trial_folder(proposal.parent)
    return files.trial_folder(parent.copied_from)
