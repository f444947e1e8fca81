"""How long a search has run, over all its starts; `status.json` keeps it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tuning.ledger.search import SearchFiles
from tuning.ledger.stamps import numbered


@dataclass(frozen=True)
class Elapsed:
    """Wall time of the runs of one search.

    Attributes:
        seconds: All of them together, their starts included; 0: not known.
        runs: How many there were; those that only read the files do not count.
    """

    seconds: float = 0.0
    runs: int = 0

    def and_now(self, seconds: float) -> Elapsed:
        """Return it with one more run."""
        # Of the runs before there was such a figure nothing is known, nor of all together.
        if self.runs and not self.seconds:
            return Elapsed(0.0, self.runs + 1)
        return Elapsed(self.seconds + seconds, self.runs + 1)


def elapsed_before(files: SearchFiles) -> Elapsed:
    """Return what the files say of the runs that there were.

    A run that was killed could not say when it ended: it counts up to its last sign of life.
    """
    status = files.status
    if status is None:
        return Elapsed()
    # Releases before this figure: there were runs, nobody knows how long.
    if not status.runs:
        return Elapsed(0.0, 1)
    seconds = status.seconds
    if status.status == "running":
        seconds += max(0.0, _last_sign(files.folder) - status.at)
    return Elapsed(seconds, status.runs)


def _last_sign(folder: Path) -> float:
    """Return when an ask, a result or a finalist was written last, Unix seconds."""
    signs = [0.0]
    for name in ("trials", "finalists"):
        for number in numbered(folder / name):
            # A file that is renamed into a folder changes the folder's time.
            with suppress(OSError):
                signs.append(os.stat(folder / name / number).st_mtime)
    return max(signs)
