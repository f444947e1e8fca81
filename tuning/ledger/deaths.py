"""Attempts at a trial that took their worker with them: `attempt-1/died.json` in its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tuning.errors import DamagedFileError
from tuning.ledger.damage import OnDamage, leave_out
from tuning.ledger.digests import stored_digest
from tuning.ledger.records import Death, load_record, write_record

_FILE = "died.json"
_ATTEMPT = "attempt-"


def keep_death(folder: Path, attempt: int, death: Death) -> None:
    """Write how an attempt lost its worker, and whose attempt it was.

    Args:
        folder: Of the trial.
        attempt: Its rank, from 1.
        death: How it ended.

    Raises:
        StorageError: The disk is full or read-only.
    """
    whose = replace(death, attempt=attempt, proposal_digest=stored_digest(folder))
    write_record(death_file(folder, attempt), whose)


def death_file(folder: Path, attempt: int) -> Path:
    """Return where the death of an attempt at a trial, whose folder it is, is kept."""
    return folder / f"{_ATTEMPT}{attempt}" / _FILE


def count_deaths(folder: Path, cause: str = "", *, on_damage: OnDamage = leave_out) -> int:
    """Return how many attempts at a trial took their worker with them.

    A file that cannot be read says that a worker died, not of what: it counts where any cause will
    do, and stays where it is. One of another ask or attempt says nothing of this one.

    Args:
        folder: Of the trial.
        cause: Count those of this cause alone; "": all.
        on_damage: Told of files that are not this trial's.

    Raises:
        NewerFileError: A later release wrote one.
    """
    digest = stored_digest(folder)
    n_deaths = 0
    for path in sorted(folder.glob(f"{_ATTEMPT}*/{_FILE}")):
        try:
            death = load_record(Death, path)
        except DamagedFileError as error:
            leave_out(error)
            n_deaths += not cause
            continue
        if death is None:
            continue
        if not _is_of(death, digest, path):
            fault = "it is of another attempt, or of other parameters"
            on_damage(DamagedFileError(path, fault, foreign=True))
            continue
        n_deaths += cause in ("", death.cause)
    return n_deaths


def _is_of(death: Death, digest: str, path: Path) -> bool:
    """Whether a death is of the ask with `digest` and of the attempt in whose folder it lies."""
    # Earlier versions wrote neither.
    same_attempt = death.attempt == 0 or path.parent.name == f"{_ATTEMPT}{death.attempt}"
    same_ask = not (digest and death.proposal_digest) or death.proposal_digest == digest
    return same_attempt and same_ask
