"""What attempts at a trial leave for the next one, should they be interrupted.

`attempt-N/fold-K.json` is the result of a fit that has ended, `attempt-N/fold-K.npz` the checkpoint
of one that has not.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tuning.errors import DamagedFileError
from tuning.ledger.damage import leave_out
from tuning.ledger.digests import stored_digest
from tuning.schema import check_types, refuse_damaged
from tuning.storage.durable import load_json, write_json
from tuning.storage.secrets import cleaned
from tuning.trial import FoldResult
from tuning.trials.checkpoint import reason_not_kept, seconds_until
from tuning.trials.jobs import TrialJob

_ATTEMPT = "attempt-"
_FOLD = "fold-"


class TrainedBefore(NamedTuple):
    """What need not be trained again.

    Attributes:
        epochs: Epochs that will not be reported again.
        seconds: Seconds of training.
    """

    epochs: int
    seconds: float


def checkpoint_path(job: TrialJob, fold: int) -> Path:
    """Return where this attempt keeps the progress of a fit."""
    return _attempt_folder(job) / f"{_FOLD}{fold}.npz"


def callbacks_folder(job: TrialJob, fold: int) -> Path:
    """Return where the user's callbacks of a fit may write: the same for each attempt."""
    return job.folder / f"callbacks-{fold}"


def keep_fold(job: TrialJob, result: FoldResult) -> None:
    """Keep the result of a fit that has ended for later attempts at its trial."""
    stored = cleaned(result.to_json())
    if job.proposal.digest:
        stored["proposal_digest"] = job.proposal.digest
    write_json(_attempt_folder(job) / f"{_FOLD}{result.fold}.json", stored)


def _attempt_folder(job: TrialJob) -> Path:
    return job.folder / f"{_ATTEMPT}{job.attempt}"


def folds_of_earlier_attempts(folder: Path, digest: str = "") -> list[FoldResult]:
    """Return the fits that were finished before the trial was interrupted.

    Args:
        folder: Of the trial.
        digest: `Proposal.digest` of the trial; "": any.
    """
    results: dict[int, FoldResult] = {}
    for path in sorted(folder.glob(f"{_ATTEMPT}*/{_FOLD}*.json")):
        try:
            result = _fold_result(path, digest)
        except DamagedFileError as error:  # trained again
            leave_out(error)
            continue
        if result is not None:
            results[result.fold] = result
    return list(results.values())


def _fold_result(path: Path, digest: str) -> FoldResult | None:
    stored = load_json(path)
    if stored is None:
        return None
    with refuse_damaged(path):
        result = FoldResult.from_json(stored)
        check_types(result)
        if result.fold != _fold_of(path):
            raise ValueError(f"it is of fold {result.fold}")
        if digest and stored.get("proposal_digest", digest) != digest:
            raise ValueError("it is of other parameters")
    return result


def newest_checkpoint(folder: Path, fold: int) -> Path | None:
    """Return the checkpoint that the last attempt to keep one has of a fit."""
    checkpoints = folder.glob(f"{_ATTEMPT}*/{_FOLD}{fold}.npz")
    # By number: by name, attempt-10 comes before attempt-9.
    return max(checkpoints, key=_attempt_of, default=None)


def reasons_not_kept(folder: Path, fold: int) -> list[str]:
    """Return why earlier attempts have kept nothing of a fit, each reason once."""
    attempts = sorted(folder.glob(f"{_ATTEMPT}*"))
    reasons = [reason_not_kept(attempt / f"{_FOLD}{fold}.npz") for attempt in attempts]
    return list(dict.fromkeys(filter(None, reasons)))


def _attempt_of(path: Path) -> int:
    number = path.parent.name.removeprefix(_ATTEMPT)
    return int(number)


def _fold_of(path: Path) -> int:
    number = path.stem.removeprefix(_FOLD)
    return int(number)


def trained_by_earlier_attempts(folder: Path) -> TrainedBefore:
    """Return what an interrupted trial has behind it.

    Fits that had ended are not reported again; one that goes on reports its earlier epochs once
    more, so these are not counted here.
    """
    digest = stored_digest(folder)
    ended = folds_of_earlier_attempts(folder, digest)
    seconds = sum(result.seconds for result in ended)

    folds_ended = {result.fold for result in ended}
    checkpoints = folder.glob(f"{_ATTEMPT}*/{_FOLD}*.npz")
    folds_begun = {_fold_of(path) for path in checkpoints}
    for fold in folds_begun - folds_ended:
        checkpoint = newest_checkpoint(folder, fold)
        if checkpoint is not None:
            with suppress(ValueError):  # a damaged or foreign one is not taken up either
                seconds += seconds_until(checkpoint, digest)

    epochs = sum(len(result.curve) for result in ended)
    return TrainedBefore(epochs=epochs, seconds=seconds)
