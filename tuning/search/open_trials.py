"""`OpenTrial`: one trial between its ask and its end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from tuning.ledger.usage import Usage
from tuning.search.slots.moves import Moves, kept_of_trial
from tuning.study.study import derive_seed
from tuning.trial import EpochReport, Proposal, Status, TrialResult

_NOTHING = Usage()


@dataclass(eq=False)
class OpenTrial:
    """A trial that has been asked for and has not ended.

    Attributes:
        attempt: The one that is under way; 0: none yet.
        slot: Where it runs; "" until it has started.
        began_at: When the attempt did, on the monotonic clock; None: not yet.
        spent_s: Seconds of the attempts before.
        reported: Epochs this attempt has reported, those it took over from the one before included.
        epochs: The most that any attempt has reported.
        n_lost: Attempts that ended through no fault of the trial.
        moves: Attempts that ended because their slot was given up.
        duplicates: Equal proposals that wait for this one's result.
    """

    proposal: Proposal
    attempt: int = 0
    slot: str = ""
    began_at: float | None = None
    spent_s: float = 0.0
    reported: int = 0
    epochs: int = 0
    n_lost: int = 0
    moves: Moves = field(default_factory=Moves)
    duplicates: list[Proposal] = field(default_factory=list)

    @property
    def job(self) -> str:
        """The job's id; another attempt is another job."""
        return f"{self.proposal.number}-{self.attempt}"

    def start(self, slot: str) -> None:
        """Note that the attempt runs."""
        self.slot = slot
        self.began_at = time.monotonic()
        self.reported = 0

    def count(self, report: EpochReport) -> None:
        """Count an epoch."""
        self.reported += report.fits
        self.epochs = max(self.epochs, self.reported)

    @property
    def running_s(self) -> float:
        """How long the attempt has had its slot; 0 where it has none yet."""
        return 0.0 if self.began_at is None else time.monotonic() - self.began_at

    def rest(self) -> None:
        """Note that the attempt is over."""
        self.spent_s += self.running_s
        self.began_at = None

    def left_slot(self, folder: Path, *, is_function: bool) -> str:
        """Note that its slot was given up; return what the user is told of it, or "".

        Args:
            folder: Of the trial.
            is_function: As for `Moves.note`.
        """
        what = f"trial {self.proposal.number}"
        kept = kept_of_trial(folder)
        return self.moves.note(what, kept, reported=self.reported > 0, is_function=is_function)

    def failed(self, error: str, seed: int, usage: Usage = _NOTHING) -> TrialResult:
        """Return the result of a trial whose worker left none, with what it has cost.

        Args:
            error: What went wrong, in words.
            seed: Of the study.
            usage: What all its attempts have used.
        """
        self.rest()
        now = time.time()

        return TrialResult(
            self.proposal.number,
            Status.FAILED,
            attempt=self.attempt,
            error=error,
            slot=self.slot,
            epochs=self.epochs,
            seed=derive_seed(seed, "training"),
            started_at=now - self.spent_s,
            ended_at=now,
            seconds=self.spent_s,
            training_s=self.spent_s,
            cpu_s=usage.cpu_s,
            gpu_s=usage.gpu_s,
        )
