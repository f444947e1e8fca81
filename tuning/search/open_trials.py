"""One trial between its ask and its end: the job made of it, and which of its errors end the whole
run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tuning.engines.base import Engine
from tuning.errors import ChangedError, MissingError, StorageError, StudyError, TuningError
from tuning.executors.base import Raised
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.storage.durable import says_full
from tuning.study.info import StudyInfo
from tuning.study.space import Space
from tuning.study.study import derive_seed
from tuning.trial import EpochReport, Proposal, Status, TrialResult
from tuning.trials.jobs import Source, TrialJob

_KINDS: dict[int, type[TuningError]] = {2: StudyError, 3: MissingError, 75: StorageError}


@dataclass(eq=False)
class OpenTrial:
    """A trial that has been asked for and has not ended.

    Attributes:
        attempt: The one that is under way; 0: none yet.
        slot: Where it runs; "" until it has started.
        began_at: When the attempt did, on the monotonic clock; None: not yet.
        spent_s: Seconds of the attempts before.
        heard: Epochs this attempt has reported, those it took over from the one before included.
        epochs: The most that any attempt has reported.
        duplicates: Equal proposals that wait for this one's result.
    """

    proposal: Proposal
    attempt: int = 0
    slot: str = ""
    began_at: float | None = None
    spent_s: float = 0.0
    heard: int = 0
    epochs: int = 0
    duplicates: list[Proposal] = field(default_factory=list)

    @property
    def job(self) -> str:
        """The job's id; another attempt is another job."""
        return f"{self.proposal.number}-{self.attempt}"

    def start(self, slot: str) -> None:
        """Note that the attempt runs."""
        self.slot, self.began_at, self.heard = slot, time.monotonic(), 0

    def hear(self, report: EpochReport) -> None:
        """Count an epoch."""
        self.heard += report.fits
        self.epochs = max(self.epochs, self.heard)

    def rest(self) -> None:
        """Note that the attempt is over."""
        self.spent_s += 0.0 if self.began_at is None else time.monotonic() - self.began_at
        self.began_at = None

    def failed(self, error: str, seed: int) -> TrialResult:
        """Return the result of a trial whose worker left none, with what it has cost; `seed`: of
        the study.
        """
        self.rest()
        now, took = time.time(), self.spent_s
        return TrialResult(
            self.proposal.number,
            Status.FAILED,
            attempt=self.attempt,
            error=error,
            slot=self.slot,
            epochs=self.epochs,
            seed=derive_seed(seed, "training"),
            started_at=now - took,
            ended_at=now,
            seconds=took,
            training_s=took,
        )


def function_of(record: StudyInfo) -> str:
    """Return what a worker calls for a trial, as a `Job` names it."""
    return record.engine_spec.trial_function or "tuning.trials.trial:run_trial"


def trial_job(
    record: StudyInfo,
    source: Source,
    overrides: Mapping[str, Any],
    files: SearchFiles,
    *,
    proposal: Proposal,
    attempt: int,
    score_test: bool = False,
) -> TrialJob:
    """Return what that function is told."""
    return TrialJob(
        source,
        overrides,
        proposal,
        files.trial_folder(proposal.number),
        attempt,
        parent=_parent(files, proposal),
        keep_end=record.engine_spec.continues_trials,
        lockstep=record.cv is not None and record.pruner != "none",
        pinned=record.pinned,
        score_test=score_test,
    )


def _parent(files: SearchFiles, proposal: Proposal) -> Path | None:
    """Return the folder with the checkpoint that a trial continues; a copied trial's is that of its
    original.
    """
    if proposal.parent is None or not proposal.continued:
        return None
    known = files.result(proposal.parent)
    copied = None if known is None else known.copied_from
    return files.trial_folder(proposal.parent if copied is None else copied)


def as_error(event: Raised) -> TuningError | None:
    """Return the error that ends the whole run, or None where only the job is at fault."""
    if says_full(event.error):
        return StorageError(f"the disk is full ({event.error}). Free some space, then run again.")
    if event.exit_code is None:
        return None
    return _KINDS.get(event.exit_code, TuningError)(event.error.partition(": ")[2])


def asked_again(
    engine: Engine, record: StudyInfo, header: SearchHeader | None, before: Proposal
) -> tuple[Proposal, bool]:
    """Ask a replayed engine for what it has proposed before, and have it take that where it
    proposes something else.

    Epochs may differ where a changed study is gone on with: a trial keeps those it was trained for.

    Returns:
        The proposal, and whether the engine had to take it.

    Raises:
        ChangedError: It is not the search's own trial, or the engine cannot take it; says what
            would work.
    """
    now = engine.ask(before.number)
    if (
        isinstance(now, Proposal)
        and now.parent == before.parent
        and _near(now.params, before.params)
    ):
        return replace(now, params=before.params, epochs=before.epochs), False
    ours = (
        isinstance(now, Proposal)
        and now.parent == before.parent
        and (header is None or not header.recovered)
    )
    if ours and _inside(record.space, before.params) and engine.adopt(before):
        return before, True
    other = dict(now.params) if isinstance(now, Proposal) else "nothing"
    raise ChangedError(
        f"trial {before.number} was {dict(before.params)}, but now {record.engine} proposes {other}: another space, or "
        "other versions of the libraries or of this program; --fresh begins anew (the old search is kept)",
        where=f"search {None if header is None else header.id}",
    )


def _near(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether parameters are the same, but for the last digits, in which processors differ."""
    return now.keys() == before.keys() and all(
        value == other
        or (isinstance(value, float) and isinstance(other, float) and math.isclose(value, other))
        for value, other in ((value, before[name]) for name, value in now.items())
    )


def _inside(space: Space, params: Mapping[str, Any]) -> bool:
    try:
        space.check(params)
    except StudyError:
        return False
    return True
