"""The file of a trial's ask, `spec.json`: written before anything is trained.

It carries a digest over what was asked for, and the trial's result carries the same one, so that no
result is ever taken for that of another ask.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from tuning.errors import DamagedFileError
from tuning.ledger.damage import OnDamage, holds_more, set_trial_aside
from tuning.ledger.digests import ask_digest
from tuning.ledger.results import read_result
from tuning.schema import Json, check_types
from tuning.storage.checked import load_checked
from tuning.storage.durable import write_json
from tuning.trial import Proposal

SPEC_FILE = "spec.json"
"""Its name in the folder of a trial."""


def keep_spec(folder: Path, proposal: Proposal, *, on_damage: OnDamage) -> Proposal:
    """Write an ask into its trial's folder, durably.

    What lies there is of an ask that was lost, and is set aside, unless it is the result of this
    very ask.

    Args:
        folder: Of the trial.
        proposal: What is asked for.
        on_damage: Told of what is not of this ask; may set it aside.

    Returns:
        The ask with the digest that its result is to carry.
    """
    stored = proposal.to_json()
    asked = replace(proposal, digest=ask_digest(stored))
    if holds_more(folder) and not _has_result_of(folder, asked):
        on_damage(DamagedFileError(folder / "result.json", "its ask was lost", foreign=True))
        # Whoever was told may only have said so.
        if holds_more(folder):
            set_trial_aside(folder, with_spec=True)

    stored |= {"digest": asked.digest, "asked_at": time.time()}
    write_json(folder / SPEC_FILE, stored)
    return asked


def _has_result_of(folder: Path, asked: Proposal) -> bool:
    """Whether the result of an ask is there, with its digest: only the ask itself was lost."""
    result = read_result(folder, asked.digest, on_damage=lambda error: None)
    return result is not None and result.proposal_digest == asked.digest


def read_spec(path: Path, number: int) -> Proposal | None:
    """Return what a `spec.json` holds, checked; its parameters as JSON has them.

    Args:
        path: Of the file.
        number: Of the trial that it must be of.

    Returns:
        The ask; None where there is no file.

    Raises:
        DamagedFileError: The file is torn, or does not hold what we write.
    """

    def parse(stored: Json) -> Proposal:
        raw = Proposal.from_json(stored, stored["params"])
        check_types(raw)
        if raw.number != number:
            raise ValueError(f"it is of trial {raw.number}")
        # Earlier versions wrote none.
        digest = ask_digest(stored)
        if stored.get("digest", digest) != digest:
            raise ValueError("it was changed since it was written")
        return replace(raw, digest=digest)

    return load_checked(path, parse)
