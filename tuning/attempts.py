"""One trial between its ask and its end, and which errors of its job end the whole run."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

from tuning.errors import ChangedError, MissingError, StorageError, StudyError, TuningError
from tuning.executors.base import Raised
from tuning.trial import Proposal

_KINDS: dict[int, type[TuningError]] = {2: StudyError, 3: MissingError, 75: StorageError}


@dataclass(eq=False)
class Open:
    """A trial that has been asked for and has not ended.

    Attributes:
        attempt: The one that is under way; 0: none yet.
        slot: Where it runs; "" until it has started.
        twins: Equal proposals that wait for this one's result.
    """

    proposal: Proposal
    attempt: int = 0
    slot: str = ""
    twins: list[Proposal] = field(default_factory=list)

    @property
    def job(self) -> str:
        """The job's id; another attempt is another job."""
        return f"{self.proposal.number}-{self.attempt}"


def as_error(event: Raised) -> TuningError | None:
    """Return the error that ends the whole run, or None where only the job is at fault."""
    if os.strerror(errno.ENOSPC) in event.error:  # whoever met it: h5py and NumPy raise their own
        return StorageError(f"the disk is full ({event.error}). Free some space, then run again.")
    if event.exit_code is None:
        return None
    return _KINDS.get(event.exit_code, TuningError)(event.error.partition(": ")[2])


def proposes_other(engine: str, before: Proposal, now: object, search: object) -> ChangedError:
    """Return the error to raise where a replayed engine does not propose what it did."""
    other = dict(now.params) if isinstance(now, Proposal) else "nothing"
    told = (
        f"trial {before.number} was {dict(before.params)}, but now {engine} proposes {other}: another space, or other "
    )
    told += "versions of the libraries; --fresh begins anew (the old search is kept)"
    return ChangedError(told, where=f"search {search}")
