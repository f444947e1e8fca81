"""`TrialReader`: a search's trials, read again and again, each file only when it has changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from tuning.errors import DamagedFileError
from tuning.ledger.search import SearchFiles
from tuning.ledger.stamps import Stamp, is_settled, numbered
from tuning.ledger.trial_cache import KeptTrials, stamps_of
from tuning.space.space import Space
from tuning.trial import Proposal, TrialResult


@dataclass(frozen=True)
class TrialView:
    """One trial that was asked for.

    Attributes:
        proposal: The ask; a value that the space does not know any more is as JSON has it.
        result: How it ended, without its curves; None: it has not.
        asked_at: When it was asked for, Unix seconds.
    """

    proposal: Proposal
    result: TrialResult | None
    asked_at: float = 0.0

    @property
    def number(self) -> int:
        """The trial's."""
        return self.proposal.number


@dataclass(frozen=True)
class _Read:
    """A trial as it was read, and whether it can be taken for the same as long as its stamps are.

    Attributes:
        stamps: Of ask and result.
        trial: What they held.
        settled: Neither may have changed unseen.
    """

    stamps: list[Stamp | None]
    trial: TrialView
    settled: bool


class TrialReader:
    """Reads the trials of a search that another process may be running.

    Nothing is written, and what is damaged is left out. 1,000 trials take some 0.1 s where the
    search has left its cache, and less when they are read once more.

    Args:
        files: Of the search.
        space: As it is searched now.
    """

    def __init__(self, files: SearchFiles, space: Space) -> None:
        self._files = files
        self._space = space
        self._kept: KeptTrials | None = None
        self._read: dict[int, _Read] = {}

    def read(self) -> tuple[TrialView, ...]:
        """Return every trial that was asked for, by number."""
        if self._kept is None:  # the first time
            self._kept = KeptTrials.load(self._files)
        numbers = [int(name) for name in numbered(self._files.folder / "trials")]
        trials = (self._trial(number) for number in numbers)
        return tuple(trial for trial in trials if trial is not None)

    def _trial(self, number: int) -> TrialView | None:
        stamps = stamps_of(self._files, number)
        known = self._read.get(number)
        if known is not None and known.settled and known.stamps == stamps:
            return known.trial

        read_at_ns = time.time_ns()
        trial = self._from_cache(number, stamps) or self._from_files(number)
        if trial is None:
            self._read.pop(number, None)
            return None
        asked, _ = stamps
        trial = replace(trial, asked_at=0.0 if asked is None else asked[2] / 1e9)
        # Of a trial that runs only its ask is there.
        there = [each for each in stamps if each is not None]
        self._read[number] = _Read(stamps, trial, is_settled(there, read_at_ns))
        return trial

    def _from_cache(self, number: int, stamps: list[Stamp | None]) -> TrialView | None:
        if self._kept is None:
            return None
        pair = self._kept.pair(number, stamps, self._space.decode_known)
        return None if pair is None else TrialView(*pair)

    def _from_files(self, number: int) -> TrialView | None:
        try:
            proposal = self._files.known_proposal(number, self._space)
        except DamagedFileError as error:
            self._files.on_damage(error)
            return None
        if proposal is None:
            return None
        result = self._files.result(number, proposal.digest)
        return TrialView(proposal, None if result is None else result.without_curves())


def with_curves(files: SearchFiles, trial: TrialView) -> TrialView:
    """Return a trial with the curves and folds of its result."""
    result = files.result(trial.number, trial.proposal.digest)
    return replace(trial, result=result)
