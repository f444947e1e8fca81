"""The files of a trial that has ended: `result.json`, and in a benchmark `test.json`.

The first is written once, by the trial's worker. The second lies beside it and not in it because
engines are told whole results: what steers a search must not hold the score on the test part.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuning.errors import DamagedFileError
from tuning.ledger.damage import OnDamage, leave_out
from tuning.ledger.digests import score_digest, stored_digest
from tuning.schema import check_schema, check_types, refuse_damaged
from tuning.storage.aside import set_error_aside
from tuning.storage.durable import load_json, write_json
from tuning.storage.secrets import cleaned, without_secrets
from tuning.trial import Status, TrialResult

_DIGEST = "digest"
"""Beside a test score: `score_digest`; files of earlier versions have none."""


def keep_result(folder: Path, result: TrialResult, digest: str | None = None) -> TrialResult:
    """Write `result.json` into a trial's folder, never over one that is whole.

    Args:
        folder: Of the trial.
        result: How it ended.
        digest: `Proposal.digest` of what it is the result of; None: of the ask that lies there.

    Returns:
        What the file holds now.
    """
    if digest is None:
        digest = stored_digest(folder)
    known = read_result(folder, digest, on_damage=_replace)
    if known is not None:
        return known
    clean = without_secrets(result.error) if result.error else ""
    attested = replace(result, proposal_digest=digest, error=clean)
    write_json(folder / "result.json", cleaned(attested.to_json()))
    return attested


def read_result(
    folder: Path, digest: str | None = None, *, on_damage: OnDamage = leave_out
) -> TrialResult | None:
    """Return the result kept in a trial's folder.

    None where there is none, and where it is damaged or of something else than was asked.

    Args:
        folder: Of the trial.
        digest: `Proposal.digest` of what was asked; None: what lies there, "": not known.
        on_damage: Told of a file that is not used.

    Raises:
        NewerFileError: A later release wrote it.
    """
    path = folder / "result.json"
    try:
        result = _read(path)
        if result is not None:
            _check_owner(result, folder, digest)
    except DamagedFileError as error:
        on_damage(error)
        return None
    return result


def _read(path: Path) -> TrialResult | None:
    stored = load_json(path)
    if stored is None:
        return None
    with refuse_damaged(path):
        check_schema(stored, path)
        result = TrialResult.from_json(stored)
        check_types(result)
        if result.status is Status.COMPLETED and not _is_finite(result.value):
            raise ValueError(f"it is completed with the value {result.value}")
    return result


def _check_owner(result: TrialResult, folder: Path, digest: str | None) -> None:
    """Refuse a result that is of another trial than its folder, or of another ask."""
    path = folder / "result.json"
    if folder.name.isdecimal() and int(folder.name) != result.number:
        raise DamagedFileError(path, f"it is of trial {result.number}", foreign=True)

    # Earlier versions wrote none.
    if not result.proposal_digest:
        return
    asked = stored_digest(folder) if digest is None else digest
    if asked and result.proposal_digest != asked:
        raise DamagedFileError(path, "it is of other parameters or another study", foreign=True)


def _replace(error: DamagedFileError) -> None:
    """Make room for a result; what was there is kept beside it."""
    print(set_error_aside(error))  # into the worker's log


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def keep_test_score(folder: Path, metric: str, value: float) -> None:
    """Write the score of a trial's kept weights on the test part, and whose it is."""
    ask = stored_digest(folder)
    whose = {_DIGEST: score_digest(ask, metric, value)} if ask else {}
    write_json(folder / "test.json", {metric: value, **whose})


def read_test_score(folder: Path, *, on_damage: OnDamage = leave_out) -> float | None:
    """Return the score on the test part kept in a trial's folder; None where there is none.

    A score that is not finite is none, nor is one of another ask than lies there.

    Raises:
        NewerFileError: A later release wrote it.
    """
    path = folder / "test.json"
    try:
        stored = load_json(path)
        if stored is None:
            return None
        with refuse_damaged(path):
            check_schema(stored, path)
            digest = stored.pop(_DIGEST, "")
            metric, value = _only_score(stored)
        if digest and digest != score_digest(stored_digest(folder), metric, value):
            fault = "it is of other parameters or another study, or was changed"
            raise DamagedFileError(path, fault, foreign=True)
    except DamagedFileError as error:
        on_damage(error)
        return None
    return value if math.isfinite(value) else None


def _only_score(stored: Any) -> tuple[str, float]:
    ((metric, score),) = ((name, value) for name, value in stored.items() if name != "schema")
    if isinstance(score, bool):
        raise TypeError(f"its score is {score}")
    return metric, float(score)
