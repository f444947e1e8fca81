"""`Moves`: a trial that has to leave its slot again and again comes to its end all the same.

Who leaves a slot ends an epoch there, keeps a checkpoint and goes on elsewhere. That is no progress
where an epoch takes longer than a slot is left in, or where nothing can be kept (plain functions, a
user's own `fit`, callbacks whose state is unknown): slots that come and go faster than it trains
would have it begin again for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tuning.executors.base import Leaving

MOST_FRUITLESS = 2
"""So often in a row something leaves its slot without having kept anything new; then it stays."""


class Moves:
    """How often one trial or finalist has left a slot, and what it had to show for it.

    Attributes:
        leaves: When its next attempt is to leave a slot that is given up, as a `Job` has it.
        n_fruitless: How often in a row it has left one and had kept nothing new.
    """

    def __init__(self) -> None:
        self.leaves: Leaving = "soon"
        self.n_fruitless = 0
        self._kept: frozenset[tuple[str, int]] = frozenset()

    def note(self, what: str, kept: Iterable[Path], *, reported: bool, is_function: bool) -> str:
        """Take note that it has left its slot; return what the user is told of it, or "".

        Args:
            what: Its name in words, "trial 7".
            kept: The files that its next attempt goes on from.
            reported: Whether an epoch had ended where it was.
            is_function: Whether it is a plain function's, of which nothing is ever kept.
        """
        before = self._kept
        self._kept = frozenset(_stamps(kept))
        if self._kept - before:
            self.n_fruitless = 0
            self.leaves = "soon"
            return ""

        self.n_fruitless += 1
        words = f"{what} has left its slot {self._what_is_left(is_function=is_function)}"
        if self.n_fruitless < MOST_FRUITLESS:
            return words
        # Where an epoch had ended and nothing has ever been kept, no epoch's end is of use.
        self.leaves = "end" if reported and not self._kept else "epoch"
        until = "it has ended" if self.leaves == "end" else "an epoch has ended there"
        return f"{words}, and stays on the next slot until {until}"

    def _what_is_left(self, *, is_function: bool) -> str:
        if self._kept:
            return "within an epoch: it goes on from its last checkpoint"
        why = "of a plain function nothing is kept" if is_function else "nothing was kept"
        return f"and {why}: it begins anew"


def kept_of_trial(folder: Path) -> Iterable[Path]:
    """Return what a trial's next attempt goes on from: ends of fits, and checkpoints of others."""
    return [*folder.glob("attempt-*/fold-*.npz"), *folder.glob("attempt-*/fold-*.json")]


def kept_of_finalist(file: Path) -> Iterable[Path]:
    """Return the checkpoints that a finalist goes on from; its outcome will be in `file`."""
    return file.parent.glob(f"{file.stem}.kept-*.npz")


def _stamps(paths: Iterable[Path]) -> Iterable[tuple[str, int]]:
    for path in paths:
        yield str(path), path.stat().st_mtime_ns
